from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deodar.kit.directory import StateDirectory
from deodar.siem.errors import NotKnown
from deodar.siem.services import local
from deodar.siem.services.tables import certificates, services
from deodar.siem.setup import Source, add_collector
from deodar.tls.certificates import Pair, fingerprint

SOURCE = Source(urls=("edr:9443",), insecure=True)


@pytest.fixture
def folder(known) -> StateDirectory:
    return StateDirectory(Path(add_collector(known.home, "kedr", SOURCE).folder))


def holder(known, folder):
    return known.pairing.holder(fingerprint(folder.read("core-client.pem")))


def forget_all(known):
    with known.database.write() as connection:
        for table in (services, certificates):
            connection.execute(table.delete())


def test_a_collector_that_is_added_is_a_service_at_once(known, folder):
    (found,) = known.register.list()
    assert (found.name, found.local, found.kind) == ("kedr", True, "collector")
    assert holder(known, folder).name == "kedr"


def test_folders_of_an_earlier_release_are_adopted(known, folder):
    forget_all(known)
    assert holder(known, folder) is None
    local.adopt_all(known)
    assert holder(known, folder).name == "kedr"
    before = known.register.list()
    local.adopt_all(known)
    assert known.register.list() == before


def test_one_that_was_deleted_is_not_adopted_again(known, folder):
    known.register.delete("kedr")
    local.adopt_all(known)
    assert known.register.list() == []
    assert holder(known, folder).refused


def test_a_folder_that_cannot_be_read_hinders_no_other(known, folder):
    broken = known.home.path / "collectors" / "broken"
    shutil.copytree(folder.path, broken)
    (broken / "collector.toml").write_text("nonsense")
    forget_all(known)
    local.adopt_all(known)
    assert [one.name for one in known.register.list()] == ["kedr"]


def test_after_a_reset_another_certificate_is_put_into_the_folder(known, folder):
    service = known.register.find("kedr")
    authority = Pair(known.home.read("authority.pem"), known.home.read("authority.key"))
    known.pairing.reset("kedr", new_token=False)
    assert holder(known, folder).refused
    local.reissue(known, authority, service)
    assert not holder(known, folder).refused
    shutil.rmtree(folder.path)
    with pytest.raises(NotKnown, match="gone"):
        local.reissue(known, authority, service)
