"""A constant: one value for every event of the rule; an empty one clears the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deodar.columnar.values import FAILED, as_float, as_integer
from deodar.siem.pipeline.enrichment.base import Enricher, Kind, RuleSettings, Surroundings, target
from deodar.siem.pipeline.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.siem.pipeline.enrichment.base import Answer, Key


class ConstantSettings(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`constant` is put into the field `target`."""

    target: str
    constant: Annotated[str, msgspec.Meta(max_length=255)]


class Constant(Enricher):
    """Gives the same to all."""

    def __init__(self, settings: ConstantSettings) -> None:
        """Raises RuleError when the field cannot hold the constant."""
        super().__init__((), (target(settings.target),))
        self._answer: tuple[Any, ...] = (settings.constant,)
        ref = self.targets[0]
        convert = {"integer": as_integer, "float": as_float}.get(ref.kind)
        if convert and settings.constant and convert(settings.constant) is FAILED:
            raise RuleError(f"constant: {ref.name} is {ref.kind}; {settings.constant!r} is none")
        if len(settings.constant) > (ref.max_length or 255):
            raise RuleError(f"constant: {ref.name} holds at most {ref.max_length} characters")

    def answers(self, keys: Sequence[Key]) -> Sequence[Answer]:
        """Return the constant."""
        return [self._answer] * len(keys)


def open_constant(settings: ConstantSettings, _around: Surroundings) -> Enricher:
    """Return the enricher."""
    return Constant(settings)


KIND = Kind("constant", "one value for all", ConstantSettings, open_constant, Constant)
