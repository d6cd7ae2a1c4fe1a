from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.kit import settings
from deodar.kit.errors import SettingsError

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Port = 9443


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str = ""
    urls: list[str] = []
    pause: float = 0.5
    on: bool = True
    listen: Listen = Listen()
    labels: dict[str, str] = {}


@given(
    st.builds(
        Example,
        name=st.text(),
        urls=st.lists(st.text()),
        pause=st.floats(allow_nan=False, allow_infinity=False),
        on=st.booleans(),
        listen=st.builds(Listen, host=st.text(), port=st.integers(0, 65535)),
        labels=st.dictionaries(st.text(), st.text()),
    )
)
def test_what_is_dumped_is_read_back_equal(example):
    assert settings.parse(settings.dump(example), Example, where="test") == example


def test_an_unknown_key_is_refused_with_the_nearest_name():
    with pytest.raises(SettingsError, match=r"prot.*did you mean `port`"):
        settings.parse("[listen]\nprot = 1\n", Example, where="a.toml")


def test_a_value_out_of_range_names_file_and_key():
    with pytest.raises(SettingsError, match=r"a\.toml: .*65535.*listen\.port"):
        settings.parse("[listen]\nport = 70000\n", Example, where="a.toml")


def test_broken_toml_names_the_line():
    with pytest.raises(SettingsError, match=r"a\.toml: not valid TOML: .*line 2"):
        settings.parse("name = 'x'\n= 3\n", Example, where="a.toml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"absent\.toml"):
        settings.load(tmp_path / "absent.toml", Example)


def test_a_file_is_loaded(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('name = "x"\n[listen]\nport = 1\n', "utf-8")
    assert settings.load(path, Example) == Example(name="x", listen=Listen(port=1))
