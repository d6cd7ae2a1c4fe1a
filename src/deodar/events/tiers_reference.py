"""The reference page of the tiers, from the vocabulary: what on an endpoint gives which event."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from deodar.events.vocabulary import VOCABULARY, Tier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.events.vocabulary import EventType

TIERS: tuple[Tier, ...] = get_args(Tier)
_HEAD = """\
# Tiers

<!-- Made by `make docs` from src/deodar/events/vocabulary.toml. -->

What an agent can tell depends on what its kernel lets it use. It takes the best sensor that works:
`bpf`, else `audit`, else `proc`; `deodar agent status` says which, and why not a better one. The
watchers (`watch`) work beside each of them; what the agent tells of itself (`agent`) needs none.
The kinds of telemetry are in [telemetry](telemetry.md); `deodar agent coverage` says what one host
covers.

"""
_TAIL = """
What a lower tier gives is less in other ways, too:

- `audit` sees a program's arguments, but the rest of a process only while it lives: hashes, parents
  and containers of short processes are missing. It sees no forks, no ends by a signal, and no calls
  of 32-bit programs. Reads of another process's memory are left out: a profiler makes thousands of
  them a second.
- `audit` names libpam's callers by their program, not by the service that they name themselves, and
  knows of a refusal, but not why.
- Connections, listeners and files are not in `audit`: every call would be a record of six lines,
  made as text in the kernel. A file workload ran at a fifth to a half of its speed that way, and
  records were lost. Watches on folders are no cheaper where many files change.
- `proc` learns pids alone. What a process ran and who it was comes from /proc, which most short
  processes leave before it can be read.
- `watch` compares states: it sees what changed, and who did it only with `bpf` beside it. Logons it
  reads from the journal, or else from the text log, where any program writes what it likes.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return _HEAD + "\n".join(_table()) + "\n" + _TAIL


def _table() -> Iterator[str]:
    yield f"| Event type | {' | '.join(f'`{tier}`' for tier in TIERS)} |"
    yield "|---" * (len(TIERS) + 1) + "|"
    for kind in VOCABULARY.types.values():
        if kind.tiers:
            yield _row(kind)


def _row(kind: EventType) -> str:
    marks = " | ".join("yes" if tier in kind.tiers else "–" for tier in TIERS)
    return f"| `{kind.name}` {kind.title} | {marks} |"
