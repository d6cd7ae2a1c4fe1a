"""The tables of servers that share a log: where it stands, who they are, files that all can get.

They are empty where a server is alone.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from deodar.edr.tables import metadata

# One row, number 1: the term of the one that writes now, the last committed number, and the last
# one that retention dropped.
log_position = Table(
    "log_position",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("term", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False, server_default="0"),
    Column("writer", String(64), nullable=False, server_default=""),
    Column("since_us", BigInteger, nullable=False, server_default="0"),
)

# Numbers above `after` up to `upto` stand for nothing: a gap between two terms.
log_voids = Table(
    "log_voids",
    metadata,
    Column("upto", BigInteger, primary_key=True, autoincrement=False),
    Column("after", BigInteger, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("added_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False, server_default="0"),
    Column("started_us", BigInteger, nullable=False, server_default="0"),
    Column("removed_us", BigInteger, nullable=False, server_default="0"),
    Column("url", String(256), nullable=False, server_default=""),
    Column("version", String(64), nullable=False, server_default=""),
)

# A file's bytes in blocks. `name` is its SHA-256, or what it is called until it is complete.
file_blocks = Table(
    "file_blocks",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Index("ix_file_blocks_at_us", "at_us"),
)
