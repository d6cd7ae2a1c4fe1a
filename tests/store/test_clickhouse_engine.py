"""The ClickHouse engine, over HTTP against the front of an embedded engine."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from tests.store.contract import EngineContract, table
from tests.store.serving import PASSWORD, USER, served

from deodar.store.clickhouse_engine import ClickHouseEngine
from deodar.store.engine import open_engine
from deodar.store.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.store.chdb_engine import ChdbEngine
    from deodar.store.engine import Engine

__all__ = ["table"]


@pytest.fixture(scope="module")
def port(deodar_store_engine: ChdbEngine) -> Iterator[int]:
    with served(deodar_store_engine, allow_writes=True) as port:
        yield port


@pytest.fixture(scope="module")
def engine(port: int) -> Iterator[Engine]:
    engine = open_engine(f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/default")
    yield engine
    engine.close()


class TestContract(EngineContract):
    pass


def test_a_wrong_password_is_told(port: int) -> None:
    with pytest.raises(StoreError, match="refuses the user or the password"):
        ClickHouseEngine("127.0.0.1", port, user=USER, password="wrong")


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port}"):
        ClickHouseEngine("127.0.0.1", port)


def test_a_server_that_goes_away_is_unavailable(deodar_store_engine: ChdbEngine) -> None:
    with served(deodar_store_engine) as port:
        engine = ClickHouseEngine("127.0.0.1", port, user=USER, password=PASSWORD)
        assert engine.query("SELECT 1 AS n").to_pylist() == [{"n": 1}]
    with pytest.raises(StoreUnavailable):
        engine.query("SELECT 1")
    engine.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        engine.query("SELECT 1")


@pytest.mark.parametrize("url", ["clickhouse://", "clickhouse://host/db?sslmode=on"])
def test_urls_of_another_form_are_refused(url: str) -> None:
    with pytest.raises(StoreError, match="clickhouse://user:password@host:port/database"):
        open_engine(url)


def test_an_error_never_shows_the_password() -> None:
    with pytest.raises(StoreError) as caught:
        open_engine("clickhouse://user:secret@host/db?x=1")
    assert "secret" not in str(caught.value)
