from __future__ import annotations

import shlex
import socket

import pytest

from deodar.siem.services.addresses import install_command, is_loopback, own_name, service_url
from deodar.siem.services.pairing import Invitation
from deodar.siem.services.settings import ServicesSettings
from deodar.siem.settings import SiemSettings


def core(host: str, address: str = "") -> SiemSettings:
    return SiemSettings("t", host=host, services=ServicesSettings(address=address))


@pytest.mark.parametrize(
    ("host", "address", "url"),
    [
        ("127.0.0.1", "", "https://127.0.0.1:7210"),
        ("fd00::1", "", "https://[fd00::1]:7210"),
        ("siem.example", "", "https://siem.example:7210"),
        ("127.0.0.1", "https://outside.example:443/", "https://outside.example:443"),
    ],
)
def test_services_are_told_where_the_core_listens_or_what_the_settings_say(host, address, url):
    assert service_url(core(host, address)) == url


def test_a_core_that_listens_everywhere_is_named_by_its_host():
    assert own_name("0.0.0.0") == own_name("::") == socket.getfqdn()
    assert own_name("siem.example") == "siem.example"


def test_which_core_only_its_own_host_reaches():
    assert [is_loopback(core(host)) for host in ("127.0.0.1", "::1", "localhost")] == [True] * 3
    assert not is_loopback(core("192.0.2.1"))
    assert not is_loopback(core("siem.example"))


def test_the_command_has_all_that_a_bare_host_needs():
    invitation = Invitation("the-id", "branch", "deodar-service:abc", 0)
    words = shlex.split(install_command(core("siem.example"), "ab" * 32, invitation))
    assert words[:3] == ["deodar", "siem", "collector"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options == {
        "--core": "https://siem.example:7210",
        "--id": "the-id",
        "--pin": "ab" * 32,
        "--token": "deodar-service:abc",
        "--api-port": "7221",
    }
