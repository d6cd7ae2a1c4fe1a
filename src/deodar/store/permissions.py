"""What a user's statement may do: look at this store's own tables, or also change them.

ClickHouse's ``readonly`` is applied as well, but in the embedded engine it is not enough: several
statements, INTO OUTFILE, KILL QUERY, BACKUP and some table functions of the network pass it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from deodar.store.errors import READ_ONLY, QueryError
from deodar.store.lexer import Token, tokens
from deodar.store.statements import output_format, single
from deodar.store.table_names import check_table_names

READS: Final = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "("})
WRITES: Final = frozenset({"INSERT", "CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME", "OPTIMIZE"})
CREATES: Final = frozenset({"TABLE", "VIEW", "DATABASE", "MATERIALIZED", "TEMPORARY", "OR"})
ENGINES: Final = ("MERGETREE", "MEMORY", "NULL", "LOG", "VIEW", "ATOMIC", "BUFFER")

# Table functions that stay inside the store: they make rows up or read its own tables.
INSIDE: Final = frozenset(
    {
        "format", "generaterandom", "generate_series", "generateseries", "loop", "merge",
        "mergetreeanalyzeindexes", "mergetreeanalyzeindexesuuid", "mergetreeindex",
        "mergetreeparts", "mergetreeprojection", "mergetreetextindex", "null", "numbers",
        "numbers_mt", "primes", "prometheusquery", "prometheusqueryrange", "sqlstandardvalues",
        "timeseriesdata", "timeseriesmetrics", "timeseriesselector", "timeseriestags", "values",
        "view", "viewexplain", "viewifpermitted", "zeros", "zeros_mt",
    }
)  # fmt: skip

# Those that reach out of it: to files, networks, other processes, this process's memory.
OUTSIDE: Final = frozenset(
    {
        "arrowflight", "azureblobstorage", "azureblobstoragecluster", "catboostevaluate",
        "cluster", "clusterallreplicas", "cosn", "deltalake", "deltalakeazure",
        "deltalakeazurecluster", "deltalakecluster", "deltalakelocal", "deltalakes3",
        "deltalakes3cluster", "dictionary", "executable", "file", "filecluster", "filesystem",
        "fuzzjson", "fuzzquery", "gcs", "hdfs", "hdfscluster", "hive", "hudi", "hudicluster",
        "iceberg", "icebergazure", "icebergazurecluster", "icebergcluster", "iceberghdfs",
        "iceberghdfscluster", "iceberglocal", "iceberglocalcluster", "icebergs3",
        "icebergs3cluster", "input", "jdbc", "mongodb", "mysql", "odbc", "oss", "paimon",
        "paimonazure", "paimoncluster", "paimonhdfs", "paimonlocal", "paimons3", "postgresql",
        "python", "redis", "remote", "remotesecure", "s3", "s3cluster", "sqlite", "url",
        "urlcluster", "ytsaurus",
    }
)  # fmt: skip


def check_reading(sql: str) -> str:
    """Return the one statement in `sql` if all it does is to read from this store.

    Raises QueryError when it is of another kind, writes a file (INTO OUTFILE), or calls a function
    that reaches out of the store.
    """
    statement = single(sql)
    found = tokens(statement)
    if found[0].keyword not in READS:
        raise QueryError(READ_ONLY, f"only reading is allowed here, not {found[0].text}")
    _check_inside(found)
    return statement


def reading_rows(sql: str) -> str:
    """Return the statement as `check_reading` does, if its rows can be had as a table.

    Raises QueryError also when the statement asks for an output format of its own.
    """
    statement = check_reading(sql)
    if output_format(statement) is not None:
        raise QueryError(READ_ONLY, "leave FORMAT out: the rows come as they are")
    return statement


def check_changing(sql: str) -> str:
    """Return the one statement in `sql` if it reads or changes nothing but this store's tables.

    Raises QueryError otherwise: for administration (SYSTEM, KILL, BACKUP …), table engines and
    functions that reach out of the store, and files in FROM INFILE or INTO OUTFILE.
    """
    statement = single(sql)
    found = tokens(statement)
    first = found[0].keyword
    if first not in READS | WRITES or (first == "CREATE" and found[1:2] and not _creates(found[1])):
        what = " ".join(token.text for token in found[:2])
        raise QueryError(READ_ONLY, f"{what} is not allowed here; only tables can be changed")
    check_table_names(found)
    _check_inside(found)
    return statement


def _creates(token: Token) -> bool:
    return token.keyword in CREATES


def _check_inside(found: list[Token]) -> None:
    for token, after in pairwise(found):
        if after.keyword == "(" and token.name.lower() in OUTSIDE:
            raise QueryError(
                READ_ONLY, f"{token.text}() reaches out of the store; not allowed here"
            )
        if after.keyword in {"OUTFILE", "INFILE"} and token.keyword in {"INTO", "FROM"}:
            raise QueryError(READ_ONLY, f"{token.text} {after.text} is not allowed here")
    _check_engines(found)


def _check_engines(found: list[Token]) -> None:
    """Look at what follows ENGINE outside of brackets; a query of the statement comes after it."""
    if found[0].keyword not in WRITES:
        return
    depth = 0
    for index, token in enumerate(found[:-1]):
        if token.keyword == "SELECT":
            return
        depth += (token.keyword == "(") - (token.keyword == ")")
        if depth == 0 and token.keyword == "ENGINE":
            follows = found[index + 1 + (found[index + 1].keyword == "=") :]
            if not follows or not follows[0].name.upper().endswith(ENGINES):
                raise QueryError(READ_ONLY, "such an ENGINE reaches out of the store; not allowed")
