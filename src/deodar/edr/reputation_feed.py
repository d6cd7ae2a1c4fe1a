"""Lists of hashes as files: one hash a line, or CSV with a verdict and a note behind it.

Empty lines and those that begin with ``#`` are passed over, and so is a first line whose first
column is called ``hash``, ``md5`` or ``sha256``. Anything else that is no entry is an error with
its line, since a list that is half read is worse than none.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from deodar.edr.errors import FeedProblem
from deodar.edr.reputation import VERDICTS, Entry, checked_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deodar.edr.reputation import Verdict

LONGEST_LINE = 4096
_TITLES = {"hash", "md5", "sha256", "md5_hash", "sha256_hash"}


def entries(
    lines: Iterable[bytes], source: str, verdict: Verdict, expires_us: int = 0
) -> Iterator[Entry]:
    """Yield the entries of a file's lines; `verdict` is that of lines without one.

    Raises FeedProblem that names the line.
    """
    is_first = True
    for number, text in _texts(lines):
        try:
            columns = next(csv.reader([text], skipinitialspace=True))
            if is_first and columns[0].strip().lower() in _TITLES:
                is_first = False
                continue
            is_first = False
            yield _entry(columns, source, verdict, expires_us)
        except (FeedProblem, csv.Error) as error:
            raise FeedProblem(f"line {number}: {error}") from error


def _texts(lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty or remarks, with their numbers from 1 on."""
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            raise FeedProblem(f"line {number}: it is longer than {LONGEST_LINE} bytes")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise FeedProblem(f"line {number}: it is not UTF-8: {error.reason}") from error
        if text and not text.startswith("#"):
            yield number, text


def _entry(columns: list[str], source: str, verdict: Verdict, expires_us: int) -> Entry:
    told = columns[1].strip().lower() if len(columns) > 1 else ""
    known: dict[str, Verdict] = {name: name for name in VERDICTS}
    if told and told not in known:
        raise FeedProblem(f"'{told[:40]}' is no verdict; there are: {', '.join(VERDICTS)}")
    note = columns[2].strip() if len(columns) > 2 else ""
    text = checked_hash(columns[0].strip())
    return Entry(text, known.get(told, verdict), source, expires_us, note)
