"""The verdict of local lists on a file's hash, in the form of the EDR server's feeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from deodar.kit.hash_lists import Listed, listed
from deodar.siem.pipeline.enrichment.base import (
    Enricher,
    Kind,
    RuleSettings,
    Surroundings,
    source,
    target,
)
from deodar.siem.pipeline.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deodar.kit.hash_lists import Verdict
    from deodar.siem.pipeline.enrichment.base import Answer, Key
    from deodar.siem.pipeline.fields import FieldRef

MAX_ENTRIES = 2_000_000


class ReputationSettings(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `files`, lists of MD5 or SHA-256, say of the hash in `field` goes into `target`.

    A line is a hash, or CSV: hash, verdict, note; `verdict` is that of lines without one. The note,
    or else the list's name, goes into `note_target` if that is set. Of several lists that know a
    hash the worst verdict counts: untrusted, then trusted. An unknown hash changes nothing.
    """

    files: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
    field: str = "FileHash"
    target: str = "TI.reputation"
    note_target: str = ""
    verdict: Literal["untrusted", "trusted"] = "untrusted"


class Reputation(Enricher):
    """Answers from lists in memory."""

    def __init__(self, settings: ReputationSettings, home: Path) -> None:
        super().__init__(*_fields(settings))
        self._known: dict[bytes, tuple[Verdict, str]] = {}
        for name in settings.files:
            self._add(home / name, settings.verdict)

    def _add(self, path: Path, verdict: Verdict) -> None:
        try:
            with path.open("rb") as file:
                for one in listed(file, verdict):
                    self._note(one, path.name)
        except (OSError, ValueError) as error:
            raise RuleError(f"files: {path}: {error}") from error

    def _note(self, one: Listed, name: str) -> None:
        key = bytes.fromhex(one.hash)
        if one.verdict == "untrusted" or key not in self._known:
            self._known[key] = (one.verdict, one.note or name)
        if len(self._known) > MAX_ENTRIES:
            raise ValueError(f"all lists together have more than {MAX_ENTRIES} hashes")

    def answers(self, keys: Sequence[Key]) -> Sequence[Answer]:
        """Return verdict and note."""
        return [self._known.get(_digest(text)) for (text,) in keys]


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _fields(settings: ReputationSettings) -> tuple[list[FieldRef], list[FieldRef]]:
    targets = [target(settings.target)]
    if settings.note_target:
        targets.append(target(settings.note_target, "note_target"))
    reads = [source(settings.field)]
    if reads[0].kind != "string":
        raise RuleError(f"field: {settings.field} holds no text, and so no hash")
    return reads, targets


def open_reputation(settings: ReputationSettings, around: Surroundings) -> Enricher:
    """Return the enricher."""
    return Reputation(settings, around.home)


KIND = Kind(
    "reputation", "what local lists say of a hash", ReputationSettings, open_reputation, _fields
)
