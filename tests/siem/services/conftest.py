"""A SIEM's folder with its database of services; no process runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from deodar.siem.services.core import ServiceCore, opened
from deodar.siem.services.wire import Host, PairRequest, ServiceReport
from deodar.siem.settings import load_siem
from deodar.siem.setup import SIEM_SETTINGS, init_siem
from deodar.tls.certificates import make_request

SET = """\
# What the branch office sends.
journal_bytes = 1073741824

[connector]
kind = "kata/edr"
urls = ["edr.example:443"]
insecure = true
"""


@pytest.fixture
def siem(tmp_path: Path):
    return init_siem(tmp_path / "siem", "127.0.0.1", 7210, "", 0)


@pytest.fixture
def known(siem) -> Iterator[ServiceCore]:
    with opened(siem, load_siem(siem.path / SIEM_SETTINGS)) as core:
        yield core


@pytest.fixture
def service(known):
    """A service of a saved set, never paired."""
    known.sets.save("branch", SET)
    return known.register.add("branch-1", "branch", known.settings.tenant_id)


def paired(known: ServiceCore, name: str, fqdn: str = "host.example"):
    """Pair a service as its host would; returns (what it was given, its key)."""
    invitation = known.pairing.invite(name)
    request, key = make_request("x")
    asked = PairRequest(invitation.token, request.decode(), Host(fqdn, "1.0", 7221))
    return known.pairing.pair(invitation.service_id, asked, "192.0.2.7"), key


def report(**changes) -> ServiceReport:
    whole = ServiceReport("boot-1", 5.0, Host("host.example", "1.0", 7221), "green", "fetching")
    return msgspec.structs.replace(whole, **changes)
