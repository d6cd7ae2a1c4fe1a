from __future__ import annotations

import pytest
from tests.edr.conftest import running

from deodar.edr.backup.archive import Archive
from deodar.edr.backup.make import make
from deodar.edr.errors import BackupError


@pytest.fixture
def put_in(installation):
    folder = installation.directory.path
    (folder / "dead-letters").mkdir(exist_ok=True)
    (folder / "dead-letters/one").write_bytes(b"x")
    (folder / ".hidden").write_bytes(b"x")
    (folder / "link").symlink_to("/etc/passwd")
    return folder


async def backup(installation, engine, path, *, keys: bool):
    import asyncio

    async with running(installation, engine) as server:
        server.endpoints.invite(server.url, installation.pin, 60)
        await server.put([{"EventType": "process", "n": n} for n in range(5)])
        return await asyncio.to_thread(make, installation, path, keys=keys)


async def test_a_running_server_gives_its_folder_tables_and_log(
    installation, engine, put_in, tmp_path
):
    made = await backup(installation, engine, tmp_path / "b.tar", keys=False)
    assert (made.events, made.last_seq, made.keys) == (5, 5, False)
    archive = Archive(tmp_path / "b.tar")
    assert archive.header.server_id == installation.server_id
    files = {member.name for member in archive.manifest.members}
    assert {"files/edr.toml", "files/authority.pem", "files/dead-letters/one"} <= files
    assert {"control/audit.000000", "log/epochs", f"log/{1:020}"} <= files
    assert not [name for name in files if name.endswith(".key") or "hidden" in name]
    assert not [name for name in files if "link" in name or "edr.db" in name or "store" in name]
    assert made.bytes == (tmp_path / "b.tar").stat().st_size


async def test_keys_are_in_it_only_when_asked_for(installation, engine, tmp_path):
    await backup(installation, engine, tmp_path / "b.tar", keys=True)
    files = dict(Archive(tmp_path / "b.tar").read("files/"))
    assert files["token.key"] == installation.token_key
    assert files["authority.key"] == installation.authority.key


def test_keys_are_not_put_where_others_can_write(installation, tmp_path):
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(BackupError, match="others may write"):
        make(installation, open_to_all / "b.tar", keys=True)
    with pytest.raises(BackupError, match="cannot write into"):
        make(installation, tmp_path / "gone" / "b.tar", keys=True)
    assert list(open_to_all.iterdir()) == []
