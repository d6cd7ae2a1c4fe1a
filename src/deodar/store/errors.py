"""Errors of the store.

The tree::

    DeodarError
    └── StoreError                 anything about the store
        ├── StoreBusy              another process, or this one, holds the directory
        ├── StoreUnavailable       the engine cannot be reached now; trying again may work
        ├── MigrationError         the schema and the program do not fit together
        └── QueryError             one statement was refused; `code` and `message` are the engine's
            ├── QueryLimit         … since it passed a limit on time, rows, bytes or memory
            └── StoreFull          … since the store's disk has no room

Codes are ClickHouse's error numbers, the same in both engines; 0 when Deodar itself refused.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from deodar.kit.errors import DeodarError

READ_ONLY: Final = 164
SYNTAX: Final = 62
BAD_PARAMETER: Final = 457

_LIMITS: Final = frozenset(
    {
        158,  # too many rows
        159,  # time limit
        160,  # too slow
        161,  # too many columns
        191,  # set size
        241,  # memory
        306,  # recursion
        307,  # too many bytes
        396,  # too many rows or bytes in the result
    }
)
_NO_SPACE: Final = 243
_ENOSPC: Final = re.compile(r"No space left on device|errno: 28\b")
_CODE: Final = re.compile(r"Code: (?P<code>\d+)\.? ?(?:DB::Exception: )?(?P<text>.*)", re.DOTALL)


class StoreError(DeodarError):
    """Anything that is wrong with the store."""


class StoreBusy(StoreError):  # noqa: N818 - the contract between the packages has these names
    """The directory is held by another engine; the text names the process."""

    exit_code: ClassVar[int] = 3


class StoreUnavailable(StoreError):  # noqa: N818
    """The engine cannot be reached now; the same call may work later."""


class MigrationError(StoreError):
    """The schema in the store and the program's migrations do not fit together."""


class QueryError(StoreError):
    """The engine refused a statement.

    Attributes:
        code: ClickHouse's error number; 0 when Deodar refused before asking.
        message: the engine's text without its "Code: …" head.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (code {code})" if code else message)
        self.code = code
        self.message = message


class QueryLimit(QueryError):  # noqa: N818
    """A statement was stopped at a limit: time, rows, bytes or memory."""


class StoreFull(QueryError):  # noqa: N818
    """A statement was refused since the store's disk has no room."""


def from_engine(text: str, *, code: int = 0) -> QueryError:
    """Return the error for an engine's own text such as ``Code: 62. DB::Exception: …``.

    `code` is used when the text names none. Limits become QueryLimit, a full disk StoreFull.
    """
    found = _CODE.search(text)
    if found is not None:
        code, text = int(found["code"]), found["text"]
    kind = QueryLimit if code in _LIMITS else QueryError
    if code == _NO_SPACE or _ENOSPC.search(text):
        kind = StoreFull
    return kind(code, text.strip())
