"""Lists of hashes as files: one hash a line, or CSV with a verdict and a note behind it.

Empty lines and those that begin with ``#`` are passed over, and so is a first line whose first
column is called ``hash``, ``md5`` or ``sha256``. Anything else that is no entry is an error with
its line, since a list that is half read is worse than none.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Verdict = Literal["untrusted", "trusted"]
VERDICTS: tuple[Verdict, ...] = ("untrusted", "trusted")
"""The worst first."""
LONGEST_LINE = 4096
_HASH = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{64}", re.ASCII)
_TITLES = {"hash", "md5", "sha256", "md5_hash", "sha256_hash"}


class Listed(NamedTuple):
    """A line of a list; the hash is in lower case."""

    hash: str
    verdict: Verdict
    note: str


def checked_hash(text: str) -> str:
    """Return a hash in lower case; raises ValueError when it is neither MD5 nor SHA-256."""
    if not _HASH.fullmatch(text):
        raise ValueError(f"'{text[:80]}' is neither MD5 nor SHA-256 in hexadecimal")
    return text.lower()


def listed(lines: Iterable[bytes], verdict: Verdict) -> Iterator[Listed]:
    """Yield the entries of a file's lines; `verdict` is that of lines without one.

    Raises ValueError that names the line.
    """
    is_first = True
    for number, text in _texts(lines):
        try:
            columns = next(csv.reader([text], skipinitialspace=True))
            if is_first and columns[0].strip().lower() in _TITLES:
                is_first = False
                continue
            is_first = False
            yield _entry(columns, verdict)
        except (ValueError, csv.Error) as error:
            raise ValueError(f"line {number}: {error}") from error


def _texts(lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty or remarks, with their numbers from 1 on."""
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            raise ValueError(f"line {number}: it is longer than {LONGEST_LINE} bytes")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"line {number}: it is not UTF-8: {error.reason}") from error
        if text and not text.startswith("#"):
            yield number, text


def _entry(columns: list[str], verdict: Verdict) -> Listed:
    told = columns[1].strip().lower() if len(columns) > 1 else ""
    known: dict[str, Verdict] = {name: name for name in VERDICTS}
    if told and told not in known:
        raise ValueError(f"'{told[:40]}' is no verdict; there are: {', '.join(VERDICTS)}")
    note = columns[2].strip() if len(columns) > 2 else ""
    return Listed(checked_hash(columns[0].strip()), known.get(told, verdict), note)
