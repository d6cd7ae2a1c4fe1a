"""What is checked before anything is written; whole restores are in tests/e2e/test_backup.py."""

from __future__ import annotations

import asyncio

import pytest
from tests.edr.conftest import running

from deodar.edr.backup import restore as restoring
from deodar.edr.backup.archive import HEADER, Archive, Writer
from deodar.edr.backup.make import make
from deodar.edr.backup.restore import Target
from deodar.edr.errors import BackupError
from deodar.kit.errors import StateError


@pytest.fixture
async def backup(installation, engine, tmp_path):
    async with running(installation, engine):
        await asyncio.to_thread(make, installation, tmp_path / "b.tar", keys=True)
    return tmp_path / "b.tar"


def restore(backup, folder, **more):
    return restoring.restore(backup, Target(folder, **more))


async def test_a_folder_with_something_in_it_is_left_alone(backup, tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "mine").write_bytes(b"x")
    with pytest.raises(BackupError, match="not empty"):
        restore(backup, folder)
    assert (folder / "mine").read_bytes() == b"x"
    with pytest.raises(BackupError, match="is no folder"):
        restore(backup, folder / "mine")


async def test_a_server_that_runs_is_not_replaced(backup, installation):
    with installation.directory.lock(), pytest.raises(StateError, match="in use"):
        restore(backup, installation.directory.path, replace=True)


async def test_what_is_left_of_another_restore_is_told(backup, tmp_path):
    (tmp_path / ".new.restoring").mkdir()
    with pytest.raises(BackupError, match="left from another restore"):
        restore(backup, tmp_path / "new")


async def test_without_keys_nothing_is_made(installation, engine, tmp_path):
    async with running(installation, engine):
        await asyncio.to_thread(make, installation, tmp_path / "b.tar", keys=False)
    with pytest.raises(BackupError, match="--keys-from"):
        restore(tmp_path / "b.tar", tmp_path / "new")
    (tmp_path / "keys").mkdir()
    with pytest.raises(BackupError, match=r"has no authority\.key, server\.key, token\.key"):
        restore(tmp_path / "b.tar", tmp_path / "new", keys_from=tmp_path / "keys")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / ".new.restoring").exists()


async def test_a_backup_of_a_newer_release_is_told(backup, tmp_path):
    import msgspec

    header = msgspec.structs.replace(Archive(backup).header, revision="9999")
    with Writer(tmp_path / "new.tar") as writer:
        writer.add(HEADER, msgspec.json.encode(header))
        writer.finish(0)
    with pytest.raises(BackupError, match="newer than this program"):
        restore(tmp_path / "new.tar", tmp_path / "new")
