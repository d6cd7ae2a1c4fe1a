"""What every engine must do. A test module subclasses this and gives an `engine` fixture."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from deodar.store.engine import Limits
from deodar.store.errors import QueryError, QueryLimit, StoreError
from deodar.store.migrations import Migration, migrate
from deodar.store.statements import Insert

if TYPE_CHECKING:
    from deodar.store.engine import Engine

TEXTS = [
    "",
    "plain",
    "it's",
    "back\\slash",
    "tab\tline\nreturn\r",
    "nul\0byte",
    "Кедр 🌲",
    "\\N",
    "{p:String}",
]
COLUMNS = """
    text String, low LowCardinality(String), number Nullable(Int64), list Array(String),
    extra Map(String, String), moment DateTime64(3, 'UTC'), given String DEFAULT 'given',
    `Ioa.Rules.Name` Array(String)
"""
MAP = pa.map_(pa.string(), pa.string())
NOW = datetime(2026, 11, 22, 1, 2, 3, 456000, tzinfo=UTC)


@pytest.fixture
def table(engine: Engine, table_name: str) -> str:
    engine.command(
        f"CREATE TABLE {table_name} ({COLUMNS}) ENGINE = MergeTree ORDER BY text "
        "SETTINGS non_replicated_deduplication_window = 100"
    )
    return table_name


def rows(count: int, **more: pa.Array) -> pa.RecordBatch:
    return pa.record_batch({"text": pa.array([f"row {i}" for i in range(count)]), **more})


def count(engine: Engine, table: str) -> int:
    return engine.query(f"SELECT count() AS n FROM {table}")["n"][0].as_py()


class EngineContract:
    def test_every_kind_of_column_arrives_as_it_was(self, engine: Engine, table: str) -> None:
        batch = pa.record_batch(
            {
                "text": pa.array(["a'\\\0\n", "Кедр"], pa.large_string()),
                "low": pa.array(["x", "x"]).dictionary_encode(),
                "number": pa.array([None, -(2**63)], pa.int64()),
                "list": pa.array([["p", ""], []], pa.list_(pa.string())),
                "extra": pa.array([[("k'", "v\\"), ("ü", "")], []], MAP),
                "moment": pa.array([NOW, NOW], pa.timestamp("ms", "UTC")),
                "Ioa.Rules.Name": pa.array([[], ["r1", "r2"]], pa.list_(pa.string())),
            }
        )
        engine.insert(table, batch)
        found = engine.query(f"SELECT * FROM {table} ORDER BY text").to_pylist()
        assert found == [
            {
                "text": "a'\\\0\n", "low": "x", "number": None, "list": ["p", ""],
                "extra": [("k'", "v\\"), ("ü", "")], "moment": NOW, "given": "given",
                "Ioa.Rules.Name": [],
            },
            {
                "text": "Кедр", "low": "x", "number": -(2**63), "list": [], "extra": [],
                "moment": NOW, "given": "given", "Ioa.Rules.Name": ["r1", "r2"],
            },
        ]  # fmt: skip

    def test_types_of_a_result_are_plain(self, engine: Engine) -> None:
        sql = (
            "SELECT 'a' AS text, toLowCardinality('b') AS low, ['c'] AS list, "
            "map('d', 'e') AS extra, toInt64(1) AS number, toNullable(2.5) AS float"
        )
        schema = engine.query(sql).schema
        assert [field.type for field in schema] == [
            pa.string(), pa.string(), pa.list_(pa.field("item", pa.string(), nullable=False)),
            pa.map_(pa.string(), pa.field("value", pa.string(), nullable=False)),
            pa.int64(), pa.float64(),
        ]  # fmt: skip

    def test_a_result_without_rows_has_its_schema(self, engine: Engine, table: str) -> None:
        found = engine.query(f"SELECT text, number FROM {table}")
        assert found.num_rows == 0
        assert found.schema.names == ["text", "number"]

    def test_bytes_that_are_no_utf8_become_replacement_characters(self, engine: Engine) -> None:
        found = engine.query("SELECT arrayJoin([unhex('41FF42'), 'whole']) AS text")
        assert found["text"].to_pylist() == ["A\ufffdB", "whole"]

    def test_nulls_become_the_default_of_a_column_that_has_none(
        self, engine: Engine, table: str
    ) -> None:
        engine.insert(
            table, pa.record_batch({"text": ["a"], "given": pa.array([None], pa.string())})
        )
        assert engine.query(f"SELECT given FROM {table}")["given"].to_pylist() == ["given"]

    def test_tables_of_several_chunks_and_slices_arrive_whole(
        self, engine: Engine, table: str
    ) -> None:
        pieces = pa.Table.from_batches([rows(10).slice(3, 4), rows(3), rows(9).slice(8)])
        engine.insert(table, pieces)
        found = engine.query(f"SELECT text FROM {table} ORDER BY text")["text"].to_pylist()
        assert found == sorted(pieces["text"].to_pylist())

    def test_a_large_batch_is_one_block(self, engine: Engine, table: str) -> None:
        table_rows = pa.concat_tables(
            [pa.table({"text": [f"{k} {i}" for i in range(20_000)]}) for k in range(60)]
        )
        engine.insert(table, table_rows)
        parts = engine.query(
            "SELECT min_block_number AS low, max_block_number AS high FROM system.parts "
            "WHERE active AND table = {t:String}",
            {"t": table},
        ).to_pylist()
        assert parts == [{"low": 1, "high": 1}]
        assert count(engine, table) == 1_200_000

    def test_an_empty_batch_adds_nothing(self, engine: Engine, table: str) -> None:
        engine.insert(table, rows(0))
        assert count(engine, table) == 0

    def test_a_token_is_taken_once(self, engine: Engine, table: str) -> None:
        for token in ("one", "one", "two's", "two's", None, None):
            engine.insert(table, rows(5), deduplication_token=token)
        assert count(engine, table) == 20

    def test_a_token_counts_even_if_the_rows_differ(self, engine: Engine, table: str) -> None:
        engine.insert(table, rows(5), deduplication_token="t")
        engine.insert(table, rows(7), deduplication_token="t")
        assert count(engine, table) == 5

    def test_a_batch_that_cannot_be_stored_stores_nothing(self, engine: Engine, table: str) -> None:
        with pytest.raises(QueryError):
            engine.insert(table, rows(5, number=pa.array(["x"] * 5)))
        with pytest.raises(QueryError, match="no_such"):
            engine.insert(table, rows(5, no_such=pa.array([1] * 5)))
        assert count(engine, table) == 0

    def test_a_refused_batch_can_be_corrected_under_its_token(
        self, engine: Engine, table: str
    ) -> None:
        with pytest.raises(QueryError):
            engine.insert(table, rows(5, number=pa.array(["x"] * 5)), deduplication_token="t")
        engine.insert(table, rows(5), deduplication_token="t")
        assert count(engine, table) == 5

    def test_rows_may_come_encoded(self, engine: Engine, table: str) -> None:
        engine.insert_encoded(
            Insert(f"INSERT INTO {table} (text, number)", "CSV", b'"a, b",5\n"c",\\N\n')
        )
        found = engine.query(f"SELECT text, number FROM {table} ORDER BY text").to_pylist()
        assert found == [{"text": "a, b", "number": 5}, {"text": "c", "number": None}]

    @pytest.mark.parametrize("text", TEXTS)
    def test_strings_are_bound_as_they_are(self, engine: Engine, text: str) -> None:
        found = engine.query(
            "SELECT {p:String} AS one, {l:Array(String)} AS many, {m:Map(String, String)} AS map",
            {"p": text, "l": [text, "b"], "m": {"k": text}},
        )
        assert found.to_pylist() == [{"one": text, "many": [text, "b"], "map": [("k", text)]}]

    def test_numbers_and_nulls_are_bound(self, engine: Engine) -> None:
        found = engine.query(
            "SELECT {a:Int64} AS a, {b:UInt64} AS b, {c:Nullable(String)} AS c, {d:Float64} AS d, "
            "{e:Array(Int64)} AS e, {f:Bool} AS f, {g:Array(Nullable(Int64))} AS g",
            {
                "a": -(2**63),
                "b": 2**64 - 1,
                "c": None,
                "d": 0.1,
                "e": (1, 2),
                "f": True,
                "g": [None],
            },
        )
        assert found.to_pylist() == [
            {
                "a": -(2**63),
                "b": 2**64 - 1,
                "c": None,
                "d": 0.1,
                "e": [1, 2],
                "f": True,
                "g": [None],
            }
        ]

    def test_a_percent_sign_is_left_alone(self, engine: Engine) -> None:
        found = engine.query("SELECT 'a%sb%' LIKE '%s%' AS yes", {"unused": "x"})
        assert found["yes"].to_pylist() == [1]

    def test_an_integer_that_does_not_fit_is_refused(self, engine: Engine) -> None:
        with pytest.raises(QueryError, match="64 bits"):
            engine.query("SELECT {p:Int64}", {"p": 2**63})

    def test_long_parameters_are_bound(self, engine: Engine) -> None:
        found = engine.query("SELECT length({p:Array(String)}) AS n", {"p": ["é" * 100] * 2000})
        assert found["n"].to_pylist() == [2000]

    @pytest.mark.parametrize(
        ("sql", "limits"),
        [
            ("SELECT number FROM numbers(100)", Limits(max_rows=99)),
            ("SELECT repeat('x', 1000) FROM numbers(1000)", Limits(max_bytes=10_000)),
            (
                "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1",
                Limits(max_seconds=0.3),
            ),
            ("SELECT groupArray(number) FROM numbers(100000000)", Limits(max_memory=10 << 20)),
        ],
        ids=["rows", "bytes", "seconds", "memory"],
    )
    def test_limits_stop_a_query(self, engine: Engine, sql: str, limits: Limits) -> None:
        with pytest.raises(QueryLimit) as caught:
            engine.query(sql, limits=limits)
        assert caught.value.code in {159, 241, 396}
        with pytest.raises(QueryLimit):
            engine.read_only(sql, limits=limits)

    def test_within_the_limits_a_query_runs(self, engine: Engine) -> None:
        limits = Limits(max_rows=100, max_bytes=10_000, max_seconds=30, max_memory=1 << 30)
        assert engine.read_only("SELECT number FROM numbers(100)", limits=limits).num_rows == 100

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 1; SELECT 2",
            "SELECT 1 INTO OUTFILE '/tmp/deodar-must-not-exist'",
            "SELECT 1into/**/outfile '/tmp/deodar-must-not-exist'",
            "SELECT 1 // '\n INTO OUTFILE '/tmp/deodar-must-not-exist' // '",
            "SELECT * FROM file('/etc/passwd', 'LineAsString')",
            "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
            "SELECT * FROM s3('http://127.0.0.1:1/b/k', 'CSV', 'a String')",
            "SELECT * FROM `url`('http://127.0.0.1:1/', 'CSV', 'a String')",
            "SELECT * FROM '/etc/passwd'",
            "SELECT * FROM Python(deodar_rows)",
            "INSERT INTO FUNCTION file('/tmp/deodar-must-not-exist') SELECT 1",
            "CREATE TABLE must_not_exist (a Int8) ENGINE = Memory",
            "DROP DATABASE default",
            "KILL QUERY WHERE 1",
            "SYSTEM SHUTDOWN",
            "SET readonly = 0",
            "BACKUP DATABASE default TO File('/tmp/deodar-must-not-exist')",
            "SELECT 1 SETTINGS max_memory_usage = 0",
            "SELECT 1 FORMAT CSV",
            "SELECT 'unclosed",
            "",
        ],
    )  # fmt: skip
    def test_users_can_only_read(self, engine: Engine, sql: str) -> None:
        with pytest.raises(StoreError):
            engine.read_only(sql, limits=Limits(max_seconds=5))

    def test_users_can_read(self, engine: Engine, table: str) -> None:
        engine.insert(table, rows(2))
        limits = Limits(max_seconds=20, max_rows=100)
        sql = f"WITH t AS (SELECT text FROM {table}) SELECT text /* c */ FROM t WHERE text != ';'"
        assert engine.read_only(sql, limits=limits).num_rows == 2
        assert engine.read_only(f"DESCRIBE TABLE {table}", limits=limits).num_rows == 8
        assert (
            engine.read_only("(SELECT 1 AS n) UNION ALL (SELECT 2);", limits=limits).num_rows == 2
        )

    def test_an_error_carries_the_engines_code_and_text(self, engine: Engine) -> None:
        with pytest.raises(QueryError, match="no_such_table") as caught:
            engine.query("SELECT * FROM no_such_table")
        assert caught.value.code == 60
        assert not caught.value.message.startswith("Code")

    def test_raw_results_come_in_the_wanted_format(self, engine: Engine) -> None:
        sql = "SELECT 1 AS a, 'x' AS b"
        assert engine.raw(sql, "JSONEachRow") == b'{"a":1,"b":"x"}\n'
        assert engine.raw(f"{sql} FORMAT CSV", "JSONEachRow") == b'1,"x"\n'

    def test_a_statement_without_rows_is_no_query(self, engine: Engine, table: str) -> None:
        with pytest.raises(StoreError, match="no rows and no columns"):
            engine.query(f"TRUNCATE TABLE {table}")

    def test_drop_sync_returns(self, engine: Engine, table: str) -> None:
        engine.command(f"DROP TABLE {table} SYNC")
        assert engine.query(f"EXISTS TABLE {table}").to_pylist() == [{"result": 0}]

    def test_readers_and_a_writer_side_by_side(self, engine: Engine, table: str) -> None:
        done = threading.Event()
        seen: list[int] = []
        failures: list[Exception] = []

        def read() -> None:
            try:
                while not done.is_set():
                    seen.append(count(engine, table))
            except Exception as error:  # noqa: BLE001 - shown below
                failures.append(error)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for number in range(20):
            engine.insert(table, rows(1000), deduplication_token=str(number))
        done.set()
        for reader in readers:
            reader.join(30)
        assert failures == []
        assert count(engine, table) == 20_000
        assert seen
        assert all(n % 1000 == 0 for n in seen)

    def test_migrations_are_applied_once(self, engine: Engine, table_name: str) -> None:
        create = f"CREATE TABLE IF NOT EXISTS {table_name} (a String) ENGINE = MergeTree ORDER BY a"
        alter = f"ALTER TABLE {table_name} ADD COLUMN IF NOT EXISTS b Int64"
        steps = [Migration(1, "table", [create]), Migration(2, "column", [alter])]
        assert migrate(engine, table_name, steps[:1]) == [1]
        assert migrate(engine, table_name, steps) == [2]
        assert migrate(engine, table_name, steps) == []
