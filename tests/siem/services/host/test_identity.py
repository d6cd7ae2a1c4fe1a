from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tests.siem.services.conftest import report

from deodar.kit.directory import StateDirectory
from deodar.siem.services import admin
from deodar.siem.services.host.identity import InCoresFolder
from deodar.siem.setup import Source, add_collector


@pytest.fixture
async def identity(known):
    source = Source(urls=("edr:9443",), insecure=True)
    folder = StateDirectory(Path(add_collector(known.home, "kedr", source).folder))
    service = known.register.find("kedr")
    made = InCoresFolder(folder, "https://127.0.0.1:9", service.id)
    yield made
    await made.close()


async def test_another_certificate_is_taken_when_one_was_put_into_the_folder(known, identity):
    first = identity.client
    assert not await identity.recover()
    assert identity.client is first
    admin.reset_certificate(known, "kedr", new_token=False)
    assert await identity.recover()
    assert identity.client is not first


async def test_one_of_the_cores_host_renews_its_certificate_by_the_present_one(core):
    folder = core.collector("127.0.0.1:1")
    service_id = tomllib.loads(folder.read("collector.toml").decode())["service_id"]
    made = InCoresFolder(folder, core.url, service_id)
    before = made.certificate
    assert await made.renew()
    assert made.certificate != before
    assert (await made.client.report(report())).version == 0
    await made.close()
