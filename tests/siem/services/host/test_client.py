"""The service's client against a real core; see test_run.py for the whole way."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest
from tests.siem.here import here
from tests.siem.services.conftest import SET
from tests.siem.services.conftest import report as a_report

from deodar.siem.errors import CoreUnavailable, NotAdmitted, PairingRefused
from deodar.siem.services.host.client import client_of, pair, recover, renew
from deodar.siem.services.host.home import CERTIFICATE, open_service
from deodar.siem.services.wire import Host
from deodar.tls.certificates import fingerprint, load_pair
from deodar.tls.contexts import PinError


@pytest.fixture
def made(core, tmp_path):
    """A new service of the shared core: what `service add` printed."""
    name = f"s-{uuid.uuid4().hex[:8]}"
    (tmp_path / "set.toml").write_text(SET)
    where = ("--dir", core.home.path)
    here("resource-set", "save", name, tmp_path / "set.toml", *where)
    return json.loads(here("service", "add", name, "--set", name, *where, "--json").stdout)


@pytest.fixture
def home(core, made, tmp_path):
    return open_service(tmp_path / "service", core.url, made["id"], 7221)


@pytest.fixture
def pin(core):
    return fingerprint(core.home.read("authority.pem"))


async def test_pairing_report_settings_and_renewal(core, made, home, pin):
    await pair(home, pin, made["token"], Host("host.example"))
    client = client_of(home.folder, core.url, made["id"])
    try:
        assert (await client.report(a_report())).version == 1
        assert (await client.settings()).version == 1
        before = load_pair(home.folder.read(CERTIFICATE)).certificate
        await renew(home, client)
        assert load_pair(home.folder.read(CERTIFICATE)).certificate != before
    finally:
        await client.close()
    assert home.settings.name == made["name"]


async def test_a_token_is_not_good_twice(made, home, pin):
    await pair(home, pin, made["token"], Host())
    with pytest.raises(PairingRefused, match="used or outdated"):
        await pair(home, pin, made["token"], Host())


async def test_another_core_than_the_pinned_one_gets_no_token(made, home):
    with pytest.raises(CoreUnavailable, match="another server"):
        await pair(home, "ab" * 32, made["token"], Host())
    with pytest.raises(PinError):
        await pair(home, "nonsense", made["token"], Host())


async def test_after_a_reset_the_recovery_secret_gets_another(core, made, home, pin):
    await pair(home, pin, made["token"], Host())
    client = client_of(home.folder, core.url, made["id"])
    words = ("service", "reset-certificate", made["id"], "--dir", core.home.path)
    await asyncio.to_thread(here, *words)
    with pytest.raises(NotAdmitted, match="was reset") as caught:
        await client.report(a_report())
    assert caught.value.status == 401
    await client.close()
    await recover(home)
    again = client_of(home.folder, core.url, made["id"])
    assert (await again.report(a_report())).version == 1
    await again.close()


async def test_a_core_that_is_away_is_told(made, tmp_path, pin):
    home = open_service(tmp_path / "away", "https://127.0.0.1:9", made["id"], 0)
    with pytest.raises(CoreUnavailable, match="no answer from the core"):
        await pair(home, pin, made["token"], Host())
