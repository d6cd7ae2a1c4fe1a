"""Holding a user's SQL to one read-only SELECT on the table `events`.

The statement is parsed, checked node by node, and written anew from the tree: what the store gets
is what was checked, not the text that came. The store adds its own limits (`readonly`, time, rows).
The language is ClickHouse's, with KUMA's names for subnets, and KUMA's default of 250 rows.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from deodar.siem.errors import SearchRefused
from deodar.siem.search import DEFAULT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Node = exp.Expr

LONGEST_STATEMENT = 65_536
TABLE = "events"

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # its warnings become our errors

# Scalar functions that reach beyond the table, that wait or fail on purpose, or that are IN.
_FORBIDDEN = re.compile(
    r"(file|joinget.*|dict(get|has|is).*|hascolumnintable|sleep.*|throwif|getsetting.*|getmacro"
    r"|globalvariable|getserver.*|serveruuid|hostname|fqdn|displayname|tcpport|current(user"
    r"|database|schemas|roles|profiles|catalog|querycontext)|defaultroles|enabledroles|user"
    r"|initialuser|(initial)?queryid|connectionid|buildid|version|uptime|addressto.*|demangle"
    r"|logtrace|catboost.*|evalml.*|filesystem.*|zookeeper.*|getoskernelversion|shard.*|url"
    r"|initializeaggregation|runningaccumulate|generateserialid|readwkt.*|executable.*|mysql.*"
    r"|remote.*|s3.*|input|merge|cluster.*|(global)?(not)?(null)?in(ignoreset)?)"
)


def check_select(sql: str, *, limit: int = DEFAULT_LIMIT) -> str:
    """Return the statement as the store shall run it, with LIMIT `limit` if it has none.

    Raises SearchRefused that says what is not allowed, or where the syntax is wrong.
    """
    tree = _parse(sql)
    for check in _CHECKS:
        check(tree)
    try:
        rewritten = cast("exp.Query", tree.transform(_kuma_function))
        return _limited(rewritten, limit).sql(dialect="clickhouse", comments=False)
    except (SqlglotError, RecursionError) as error:
        raise SearchRefused(f"this statement cannot be carried over: {error}") from error


def _limited(tree: exp.Query, limit: int) -> exp.Query:
    """Return the query with a bound on its rows; `LIMIT n BY` is none."""
    present = tree.args.get("limit") or tree.args.get("fetch")
    if present is None:
        return tree.limit(limit)
    if present.expressions:
        return exp.select("*").from_(tree.subquery()).limit(limit)
    return tree


def _parse(sql: str) -> exp.Query:
    if len(sql) > LONGEST_STATEMENT or "\0" in sql:
        raise SearchRefused(f"a statement has up to {LONGEST_STATEMENT} characters and no NUL")
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="clickhouse") if tree is not None]
    except (SqlglotError, RecursionError) as error:
        raise SearchRefused(f"the statement cannot be read: {_first_line(error)}") from error
    if len(trees) != 1:
        raise SearchRefused(f"give one SELECT statement; here are {len(trees)}")
    (tree,) = trees
    if isinstance(tree, exp.Subquery):
        raise SearchRefused("give the SELECT without parentheses around it")
    if not isinstance(tree, exp.Select | exp.Union):
        raise SearchRefused(f"only SELECT is allowed here, not {_kind(tree)}")
    return tree


def _first_line(error: Exception) -> str:
    """Return sqlglot's words without the terminal's colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return plain.splitlines()[0] if plain else "it is nested too deeply"


def _kind(tree: Node) -> str:
    name = tree.this if isinstance(tree, exp.Command) else tree.key
    return str(name).upper()


def _check_shape(tree: Node) -> None:
    for node in tree.walk():
        if isinstance(node, exp.SetOperation) and not isinstance(node, exp.Union):
            raise SearchRefused("only UNION joins two SELECTs here")
        if isinstance(node, exp.Command | exp.DDL | exp.DML) and not isinstance(node, exp.Query):
            raise SearchRefused(f"only SELECT is allowed here, not {_kind(node)}")
        for clause, name in _CLAUSES.items():
            if node.args.get(clause) and isinstance(node, exp.Query):
                raise SearchRefused(f"{name} is not allowed in a search")
        if isinstance(node, exp.With) and node.recursive:
            raise SearchRefused("WITH RECURSIVE is not allowed in a search")


_CLAUSES = {"into": "INTO", "settings": "SETTINGS", "format": "FORMAT", "locks": "FOR UPDATE"}


def _check_tables(tree: Node) -> None:
    """A name in FROM is `events` or that of a WITH query written before it."""
    queries = list(tree.find_all(exp.With))
    if any(query.parent is not tree for query in queries):
        raise SearchRefused("put WITH in front of the whole statement")
    named: set[str] = set()
    for query in (cte for part in queries for cte in part.expressions):
        _check_from(query, named)
        named.add(query.alias)
    _check_from(tree, named)
    if not any(table.name == TABLE for table in tree.find_all(exp.Table)):
        raise SearchRefused("a search reads the table events: SELECT … FROM events")


def _check_from(tree: Node, named: set[str]) -> None:
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise SearchRefused(f"table functions are not allowed: {table.sql('clickhouse')}")
        if table.db or table.catalog or table.name not in {TABLE, *named}:
            raise SearchRefused(f"only the table events can be read, not {_full_name(table)}")


def _full_name(table: exp.Table) -> str:
    return ".".join(part.name for part in table.parts)


def _check_in(tree: Node) -> None:
    """`x IN name` reads a table of that name, which looks like a column to a parser."""
    for node in tree.find_all(exp.In):
        field = node.args.get("field")
        listed = node.expressions
        bare = len(listed) == 1 and isinstance(listed[0], exp.Column | exp.Identifier | exp.Dot)
        if bare or not (field is None or isinstance(field, exp.Array | exp.Tuple | exp.Literal)):
            raise SearchRefused("IN takes a list of values or a SELECT in parentheses")


def _check_functions(tree: Node) -> None:
    for node in tree.walk():
        if isinstance(node, exp.Placeholder | exp.Parameter | exp.SessionParameter):
            raise SearchRefused("parameters are not known here; write the value itself")
        for name in _function_names(node):
            if _FORBIDDEN.fullmatch(name.lower().replace("_", "")):
                raise SearchRefused(f"the function {name} is not allowed in a search")


def _function_names(node: Node) -> Iterator[str]:
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        yield str(node.this)
    elif isinstance(node, exp.Func):
        yield from node.sql_names()


_CHECKS: tuple[Callable[[Node], None], ...] = (
    _check_shape,
    _check_tables,
    _check_in,
    _check_functions,
)


def _kuma_function(node: Node) -> Node:
    """Return KUMA's inSubnet(address, 'net/bits') in ClickHouse's words; other nodes as they are.

    ClickHouse's own function fails on a text that is no address; a search shall not.
    """
    if not (isinstance(node, exp.Anonymous) and str(node.this).lower() == "insubnet"):
        return node
    if len(node.expressions) != 2:
        raise SearchRefused("inSubnet takes an address and a subnet: inSubnet(Field, '10.0.0.0/8')")
    address, subnet = (argument.sql("clickhouse") for argument in node.expressions)
    valid = f"(isIPv4String({address}) OR isIPv6String({address}))"
    within = f"isIPAddressInRange(if({valid}, {address}, '::'), {subnet})"
    return sqlglot.parse_one(f"({valid} AND {within})", read="clickhouse")
