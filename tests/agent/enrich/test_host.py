from __future__ import annotations

import socket
from pathlib import Path

import pytest

from deodar.agent.enrich import host


def test_facts_of_this_host() -> None:
    facts = host.collect()
    assert facts.name == socket.gethostname()
    assert facts.os_family == "Linux"
    assert facts.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert facts.os_version


def test_missing_files_give_empty_facts(tmp_path: Path) -> None:
    facts = host.collect(tmp_path)
    assert (facts.boot_id, facts.machine_id, facts.os_name) == ("", "", "Linux")


def test_os_release_is_unquoted(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text("# a comment\nPRETTY_NAME=\"Debian 12\"\nID=debian\n\nVERSION_ID='12'\n")
    values = host.os_release([tmp_path / "missing", file])
    assert values["PRETTY_NAME"] == "Debian 12"
    assert values["VERSION_ID"] == "12"


@pytest.mark.parametrize("server", ["127.0.0.1:9443", "127.1.2.3:1"])
def test_address_is_that_of_the_way_to_the_server(server: str) -> None:
    assert host.address_towards(server) == "127.0.0.1"


@pytest.mark.parametrize("server", ["::1:9443", "[::1]:9443"])
def test_server_may_have_an_address_of_ipv6(server: str) -> None:
    assert host.address_towards(server) in ("::1", "")


def test_server_given_by_name_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object) -> None:
        raise AssertionError("a name service was asked")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    by_name = host.address_towards("name.invalid:1")
    assert by_name in (
        host.address_towards("192.0.2.1:443"),
        host.address_towards("[2001:db8::1]:443"),
    )


@pytest.mark.parametrize("server", ["", "nonsense"])
def test_nonsense_gives_no_address(server: str) -> None:
    assert host.address_towards(server) == ""
