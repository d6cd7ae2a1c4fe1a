"""The front as its clients see it: plain HTTP, and clickhouse-connect as users use it."""

from __future__ import annotations

import json
import shutil
import subprocess
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import clickhouse_connect
import httpx
import lz4.frame
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from tests.store.serving import PASSWORD, USER, served

from deodar.kit.body import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clickhouse_connect.driver.client import Client

    from deodar.store.chdb_engine import ChdbEngine


@pytest.fixture(scope="module")
def port(deodar_store_engine: ChdbEngine) -> Iterator[int]:
    with served(deodar_store_engine, max_seconds=5, max_result=1 << 20, max_body=1 << 20) as port:
        yield port


@pytest.fixture(scope="module")
def writing_port(deodar_store_engine: ChdbEngine) -> Iterator[int]:
    with served(deodar_store_engine, allow_writes=True, max_body=1 << 20) as port:
        yield port


@pytest.fixture
def reader(port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=(USER, PASSWORD)) as client:
        yield client


@pytest.fixture
def writer(writing_port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{writing_port}", auth=(USER, PASSWORD)) as client:
        yield client


@pytest.fixture
def table(deodar_store_engine: ChdbEngine, table_name: str) -> str:
    deodar_store_engine.command(
        f"CREATE TABLE {table_name} (a String, n Nullable(Int64)) ENGINE = MergeTree ORDER BY a"
    )
    return table_name


def count(engine: ChdbEngine, table: str) -> int:
    return engine.query(f"SELECT count() AS n FROM {table}")["n"][0].as_py()


# Reading


def test_ping_asks_for_no_password(port: int) -> None:
    assert httpx.get(f"http://127.0.0.1:{port}/ping").text == "Ok.\n"


def test_nothing_asked_is_ok(reader: httpx.Client) -> None:
    assert reader.get("/").text == "Ok.\n"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_statement_may_be_in_the_url(reader: httpx.Client, method: str) -> None:
    answer = reader.request(method, "/", params={"query": "SELECT 1 AS a FORMAT JSON"})
    assert answer.status_code == 200
    assert answer.json()["data"] == [{"a": 1}]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-clickhouse-format"] == "JSON"
    assert answer.headers["x-clickhouse-timezone"] == "UTC"
    assert json.loads(answer.headers["x-clickhouse-summary"])["result_bytes"]


def test_the_statement_may_be_in_the_body(reader: httpx.Client) -> None:
    answer = reader.post("/", params={"default_format": "JSONCompact"}, content="SELECT 1, 'ü';")
    assert answer.json()["data"] == [[1, "ü"]]


def test_the_statement_may_be_in_both(reader: httpx.Client) -> None:
    assert reader.post("/", params={"query": "SELECT 'one'"}, content=", 2").text == "one\t2\n"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("TabSeparated", "0\n1\n", "text/tab-separated-values; charset=UTF-8"),
        ("CSV", "0\n1\n", "text/csv; charset=UTF-8"),
        ("JSONEachRow", '{"number":0}\n{"number":1}\n', "application/x-ndjson"),
        ("JSONCompactEachRow", "[0]\n[1]\n", "application/x-ndjson"),
    ],
)
def test_formats(reader: httpx.Client, name: str, text: str, kind: str) -> None:
    sql = "SELECT toInt32(number) AS number FROM numbers(2)"
    by_url = reader.get("/", params={"query": sql, "default_format": name})
    by_header = reader.post("/", content=sql, headers={"X-ClickHouse-Format": name})
    by_text = reader.post("/", content=f"{sql} FORMAT {name}")
    assert by_url.text == by_header.text == by_text.text == text
    assert by_url.headers["content-type"] == kind


def test_an_unknown_format_is_an_error(reader: httpx.Client) -> None:
    answer = reader.post("/", content="SELECT 1 FORMAT NoSuch")
    assert answer.headers["x-clickhouse-exception-code"] == "73"


def test_parameters_come_in_the_text_form(reader: httpx.Client) -> None:
    answer = reader.get(
        "/",
        params={
            "query": "SELECT {s:String} AS s, {l:Array(String)} AS l FORMAT JSONEachRow",
            "param_s": "a\\'b\\nc",
            "param_l": "['x','y\\'']",
        },
    )
    assert answer.json() == {"s": "a'b\nc", "l": ["x", "y'"]}


def test_parameters_may_come_as_a_form(reader: httpx.Client) -> None:
    files = {"query": (None, "SELECT length({s:String}) AS n"), "param_s": (None, "x" * 50_000)}
    assert reader.post("/", files=files).text == "50000\n"


def test_a_database_is_used(deodar_store_engine: ChdbEngine, reader: httpx.Client) -> None:
    deodar_store_engine.command("CREATE DATABASE IF NOT EXISTS front_other")
    deodar_store_engine.command("CREATE TABLE IF NOT EXISTS front_other.t (a Int8) ENGINE = Memory")
    answer = reader.get("/", params={"query": "EXISTS TABLE t", "database": "front_other"})
    assert answer.text == "1\n"
    by_header = reader.post(
        "/", content="EXISTS t", headers={"X-ClickHouse-Database": "front_other"}
    )
    assert by_header.text == "1\n"


def test_harmless_settings_are_taken(reader: httpx.Client) -> None:
    params = {
        "query": "SELECT toInt64(1) AS a FORMAT JSONEachRow",
        "output_format_json_quote_64bit_integers": "1",
        "session_id": "x",
        "wait_end_of_query": "1",
    }
    assert reader.get("/", params=params).json() == {"a": "1"}


@pytest.mark.parametrize("name", ["allow_ddl", "output_format_schema", "format_schema", "x'y"])
def test_other_settings_are_refused_to_readers(reader: httpx.Client, name: str) -> None:
    answer = reader.get("/", params={"query": "SELECT 1", name: "1"})
    assert answer.headers["x-clickhouse-exception-code"] == "164"


def test_an_unknown_setting_is_refused(writer: httpx.Client) -> None:
    answer = writer.post("/", params={"no_such_setting": "1"}, content="SELECT 1")
    assert answer.headers["x-clickhouse-exception-code"] == "115"


def test_browsers_of_another_origin(reader: httpx.Client) -> None:
    answer = reader.get("/", params={"query": "SELECT 1", "add_http_cors_header": "1"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert (
        "access-control-allow-origin" not in reader.get("/", params={"query": "SELECT 1"}).headers
    )
    assert reader.options("/").status_code == 204


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_results_are_packed_on_demand(reader: httpx.Client, encoding: str) -> None:
    params = {"query": "SELECT repeat('x', 5000)", "enable_http_compression": "1"}
    answer = reader.get("/", params=params, headers={"Accept-Encoding": encoding})
    assert answer.headers["content-encoding"] == encoding
    assert answer.text == "x" * 5000 + "\n"
    plain = reader.get("/", params={"query": params["query"]})
    assert "content-encoding" not in plain.headers


def test_an_error_has_clickhouses_form(reader: httpx.Client) -> None:
    answer = reader.get("/", params={"query": "SELECT * FROM no_such", "query_id": "mine"})
    assert answer.status_code == 404
    assert answer.headers["x-clickhouse-exception-code"] == "60"
    assert answer.headers["x-clickhouse-query-id"] == "mine"
    assert answer.text.startswith("Code: 60. DB::Exception: ")


def test_a_query_is_stopped_in_time(reader: httpx.Client) -> None:
    sql = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
    answer = reader.get("/", params={"query": sql, "max_execution_time": "0.3"})
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (408, "159")


def test_a_limit_cannot_be_lifted(reader: httpx.Client) -> None:
    params = {"query": "SELECT getSetting('max_execution_time')", "max_execution_time": "1000"}
    assert reader.get("/", params=params).text == "5\n"


def test_a_result_may_not_be_too_large(reader: httpx.Client) -> None:
    answer = reader.get("/", params={"query": "SELECT repeat('x', 2000) FROM numbers(10000)"})
    assert answer.headers["x-clickhouse-exception-code"] == "396"


# What a reader may not do


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE must_not_exist (a Int8) ENGINE = Memory",
        "INSERT INTO deodar_migrations (name) VALUES ('x')",
        "INSERT INTO deodar_migrations (name) FORMAT CSV\nx",
        "SELECT 1; DROP TABLE deodar_migrations",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT 1 INTO OUTFILE '/tmp/deodar-must-not-exist'",
        "SYSTEM SHUTDOWN",
    ],
)
def test_a_reader_changes_nothing(reader: httpx.Client, sql: str) -> None:
    answer = reader.post("/", content=sql)
    assert answer.status_code >= 400
    assert answer.headers["x-clickhouse-exception-code"] in {"164", "62"}


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE must_not_exist (a Int8) ENGINE = File(CSV, '/tmp/x')",
        "CREATE TABLE must_not_exist (a Int8) ENGINE = URL('http://127.0.0.1:1/', CSV)",
        "CREATE FUNCTION f AS (x) -> x",
        "INSERT INTO FUNCTION file('/tmp/deodar-must-not-exist', 'CSV', 'a Int8') VALUES (1)",
        "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "SYSTEM SHUTDOWN",
        "KILL QUERY WHERE 1",
        "BACKUP TABLE x TO File('/tmp/x')",
    ],
)
def test_a_writer_stays_inside_the_store(writer: httpx.Client, sql: str) -> None:
    assert writer.post("/", content=sql).headers["x-clickhouse-exception-code"] in {"164", "62"}


def test_a_get_changes_nothing(
    writer: httpx.Client, deodar_store_engine: ChdbEngine, table: str
) -> None:
    for sql in (f"DROP TABLE {table}", f"INSERT INTO {table} (a) VALUES ('x')"):
        assert (
            writer.get("/", params={"query": sql}).headers["x-clickhouse-exception-code"] == "164"
        )
    assert count(deodar_store_engine, table) == 0


def test_readonly_is_honoured(writer: httpx.Client, table: str) -> None:
    answer = writer.post("/", params={"readonly": "1"}, content=f"DROP TABLE {table}")
    assert answer.headers["x-clickhouse-exception-code"] == "164"


# Who may enter


@pytest.mark.parametrize(
    "request_options",
    [
        {"auth": (USER, PASSWORD)},
        {"headers": {"X-ClickHouse-User": USER, "X-ClickHouse-Key": PASSWORD.encode()}},
        {"params": {"user": USER, "password": PASSWORD}},
    ],
    ids=["basic", "headers", "url"],
)
def test_ways_to_show_a_password(port: int, request_options: dict[str, Any]) -> None:
    options = {
        **request_options,
        "params": {"query": "SELECT 1", **request_options.get("params", {})},
    }
    for _ in range(2):  # proven, then remembered
        assert httpx.get(f"http://127.0.0.1:{port}/", **options).text == "1\n"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"auth": (USER, "wrong")},
        {"auth": ("other", PASSWORD)},
        {"auth": (USER, "")},
        {"headers": {"Authorization": "Basic %%%"}},
        {"headers": {"Authorization": "Bearer x"}},
        {"headers": {"X-ClickHouse-User": USER}},
    ],
)
def test_strangers_stay_outside(port: int, options: dict[str, Any]) -> None:
    answer = httpx.post(f"http://127.0.0.1:{port}/", content="SELECT 1", **options)
    assert answer.status_code == 401
    assert answer.headers["x-clickhouse-exception-code"] == "516"
    assert "WWW-Authenticate" in answer.headers


# Writing


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd", "lz4", "deflate"])
def test_rows_come_packed(
    writer: httpx.Client, deodar_store_engine: ChdbEngine, table: str, encoding: str
) -> None:
    data = b"".join(b'{"a":"row %d","n":%d}\n' % (i, i) for i in range(3000))
    pack = {"lz4": lz4.frame.compress, "deflate": zlib.compress}
    body = pack[encoding](data) if encoding in pack else encode(data, encoding)  # type: ignore[arg-type]
    answer = writer.post(
        "/",
        params={"query": f"INSERT INTO {table} FORMAT JSONEachRow"},
        content=body,
        headers={"Content-Encoding": encoding},
    )
    assert answer.status_code == 200, answer.text
    assert count(deodar_store_engine, table) == 3000


def test_bodies_are_bounded(writer: httpx.Client, table: str) -> None:
    bomb = lz4.frame.compress(b"x" * (2 << 20))
    for encoding, body in (("lz4", bomb), ("identity", b"x" * (2 << 20))):
        answer = writer.post("/", content=body, headers={"Content-Encoding": encoding})
        assert answer.status_code == 413
    assert writer.post("/", content=b"x", headers={"Content-Encoding": "br"}).status_code == 415
    assert writer.post("/", content=b"x", headers={"Content-Encoding": "lz4"}).status_code == 400


@pytest.mark.parametrize("options", [{"compress": "1"}, {"decompress": "1"}])
def test_what_is_not_spoken_is_said(reader: httpx.Client, options: dict[str, str]) -> None:
    answer = reader.post("/", params=options, content="SELECT 1")
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (501, "48")


def test_a_bad_row_stores_nothing(
    writer: httpx.Client, deodar_store_engine: ChdbEngine, table: str
) -> None:
    body = f'INSERT INTO {table} FORMAT JSONEachRow\n{{"a":"x"}}\n{{"a":'
    assert writer.post("/", content=body).status_code >= 400
    assert count(deodar_store_engine, table) == 0


def test_insert_from_select_and_values(
    writer: httpx.Client, deodar_store_engine: ChdbEngine, table: str
) -> None:
    for sql in (
        f"INSERT INTO {table} (a, n) SELECT toString(number), number FROM numbers(3)",
        f"INSERT INTO {table} (a, n) VALUES ('a;b', 1), ('FORMAT', NULL)",
    ):
        answer = writer.post("/", content=sql)
        assert answer.status_code == 200, answer.text
    assert count(deodar_store_engine, table) == 5


# clickhouse-connect


@pytest.fixture(scope="module")
def client(writing_port: int) -> Iterator[Client]:
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=writing_port, username=USER, password=PASSWORD
    )
    yield client
    client.close()


def test_connect_inserts_and_queries(client: Client, table: str) -> None:
    rows = [[f"r'{i}", i if i % 2 else None] for i in range(2000)]
    client.insert(table, rows, column_names=["a", "n"])
    found = client.query(f"SELECT a, n FROM {table} ORDER BY n NULLS FIRST, a LIMIT 3000")
    assert sorted(found.result_rows, key=str) == sorted(map(tuple, rows), key=str)


def test_connect_binds_parameters(client: Client) -> None:
    found = client.query(
        "SELECT {a:String}, {b:Array(String)}, {c:DateTime}",
        parameters={"a": "it's\\\n", "b": ["x'"], "c": "2026-01-02 03:04:05"},
    )
    assert found.first_row[:2] == ("it's\\\n", ["x'"])


def test_connect_commands(client: Client, table: str) -> None:
    client.command(f"ALTER TABLE {table} ADD COLUMN extra String")
    assert client.command(f"SELECT count() FROM {table}") == 0
    assert client.query_arrow(f"SELECT * FROM {table}").schema.names == ["a", "n", "extra"]


def test_connect_sees_errors(client: Client) -> None:
    with pytest.raises(DatabaseError, match="no_such") as caught:
        client.query("SELECT * FROM no_such")
    assert caught.value.code == 60


def test_connect_reads_at_a_reading_front(port: int, table: str) -> None:
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=port, username=USER, password=PASSWORD
    )
    assert client.query("SELECT number FROM numbers(3)").result_rows == [(0,), (1,), (2,)]
    with pytest.raises(DatabaseError):
        client.command(f"DROP TABLE {table}")
    client.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(port: int) -> None:
    url = f"http://127.0.0.1:{port}/?user={USER}&password={quote(PASSWORD)}"
    done = subprocess.run(
        ["curl", "-sS", "--data-binary", "@-", url], input=b"SELECT 'by curl' FORMAT CSV",
        capture_output=True, timeout=20, check=True,
    )  # fmt: skip
    assert done.stdout == b'"by curl"\n'
