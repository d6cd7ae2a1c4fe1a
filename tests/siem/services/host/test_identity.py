from __future__ import annotations

from pathlib import Path

import pytest

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
    assert not await identity.renew()
