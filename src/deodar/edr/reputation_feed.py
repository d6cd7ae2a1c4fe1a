"""Lists of hashes as entries of the reputation; `deodar.kit.hash_lists` tells their form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.edr.errors import FeedProblem
from deodar.edr.reputation import Entry
from deodar.kit.hash_lists import LONGEST_LINE, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deodar.kit.hash_lists import Verdict

__all__ = ["LONGEST_LINE", "entries"]


def entries(
    lines: Iterable[bytes], source: str, verdict: Verdict, expires_us: int = 0
) -> Iterator[Entry]:
    """Yield the entries of a file's lines; `verdict` is that of lines without one.

    Raises FeedProblem that names the line.
    """
    try:
        for one in listed(lines, verdict):
            yield Entry(one.hash, one.verdict, source, expires_us, one.note)
    except ValueError as error:
        raise FeedProblem(str(error)) from error
