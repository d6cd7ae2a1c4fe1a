from __future__ import annotations

import subprocess

import pytest

from deodar.agent.enrich.interfaces import hardware_address


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.99", "2001:db8::99", "", "name"])
def test_an_address_without_hardware_behind_it_has_none(address):
    assert hardware_address(address) == ""


@pytest.mark.root
@pytest.mark.parametrize("address", ["192.0.2.77", "2001:db8::77"])
def test_the_interface_with_the_address_is_found(address):
    mac = "02:00:5e:10:00:77"
    pair = f"ip link add deodar0 address {mac} type veth peer name deodar1"
    subprocess.run(pair.split(), check=True)
    try:
        prefix, flags = ("64", ["nodad"]) if ":" in address else ("24", [])
        words = ["ip", "addr", "add", f"{address}/{prefix}", "dev", "deodar0", *flags]
        subprocess.run(words, check=True)
        assert hardware_address(address) == mac
    finally:
        subprocess.run(["ip", "link", "del", "deodar0"], check=True)
