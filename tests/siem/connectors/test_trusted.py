from __future__ import annotations

import pytest

from deodar.kit.directory import StateDirectory
from deodar.siem.connectors.trusted import FILE, Trusted
from deodar.siem.errors import SiemError


@pytest.fixture
def home(tmp_path):
    return StateDirectory(tmp_path)


def test_what_is_learnt_is_kept_for_each_server(home):
    trusted = Trusted(home)
    assert trusted.of("https://a:1") == ""
    trusted.learn("https://a:1", "aa")
    trusted.learn("https://b:1", "bb")
    again = Trusted(home)
    assert (again.of("https://a:1"), again.of("https://b:1")) == ("aa", "bb")


def test_one_server_or_all_are_forgotten(home):
    trusted = Trusted(home)
    for name in ("a", "b", "c"):
        trusted.learn(name, "x")
    assert trusted.forget("b") == ("b",)
    assert Trusted(home).of("a") == "x"
    assert trusted.forget() == ("a", "c")
    assert Trusted(home).forget() == ()


def test_a_file_that_cannot_be_read_trusts_nobody(home):
    home.write(FILE, b"[1]")
    with pytest.raises(SiemError, match="compare the servers' certificates"):
        Trusted(home)
