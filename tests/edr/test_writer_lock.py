from __future__ import annotations

import asyncio

import msgspec
import pytest

from deodar.edr import installation as installations
from deodar.edr import writer_lock
from deodar.edr.database import Database
from deodar.edr.errors import LogInUse
from deodar.edr.settings import EdrSettings

from .conftest import running

SHARED = EdrSettings(host="127.0.0.1", port=0, names=("127.0.0.1",), store="clickhouse://db/edr")


@pytest.fixture
def nodes(postgresql, tmp_path):
    """Return two servers' folders with one database and, by their settings, one store."""
    settings = msgspec.structs.replace(SHARED, database=postgresql.made())
    return [installations.init(tmp_path / name, settings) for name in ("one", "two")]


async def test_a_second_server_on_one_store_is_refused_until_the_first_has_ended(nodes, engine):
    one, two = nodes
    async with running(one, engine):
        with pytest.raises(LogInUse, match="another EDR server writes"):
            async with running(two, engine):
                pass
    async with running(two, engine):
        pass


async def test_servers_with_stores_of_their_own_do_not_mind_one_another(postgresql, tmp_path):
    settings = msgspec.structs.replace(SHARED, database=postgresql.made(), store="")
    one, two = (installations.init(tmp_path / name, settings) for name in ("one", "two"))
    async with writer_lock.held(one, None), writer_lock.held(two, None):
        pass


async def test_one_that_has_lost_the_right_to_another_stops(nodes, monkeypatch):
    monkeypatch.setattr(writer_lock, "LOOK_EVERY", 1.0)
    stop = asyncio.Event()
    database = nodes[1].database()
    other = database.session_lock(writer_lock.KEY)
    async with writer_lock.held(nodes[0], stop):
        assert not other.take()
        with database.write() as connection:  # the first one's session ends, as in a restart
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_locks "
                f"WHERE locktype = 'advisory' AND objid = {writer_lock.KEY} "
                "AND pid <> pg_backend_pid()"
            )
        async with asyncio.timeout(0.9):  # before the first one looks again
            while not other.take():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        await asyncio.wait_for(stop.wait(), 20)
    other.release()
    database.close()


def test_the_lock_comes_again_after_the_database_was_away(postgresql):
    database = Database(postgresql.made())
    lock, other = database.session_lock(7), database.session_lock(7)
    assert lock.take()
    assert lock.take()
    assert not other.take()
    lock.release()
    assert other.take()
    other.release()
    database.close()
