"""What a settings Struct says of each setting: its kind, range and default, found by name.

Made once for each Struct from its annotations, so that no list of settings is kept beside them.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, inspect

from deodar.tasks.settings import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deodar.tasks.settings import Kind


class Shape(Enum):
    """How a setting is written."""

    SWITCH = "Yes or No"
    WHOLE = "a whole number"
    DECIMAL = "a number"
    TEXT = "a text"
    SECTION = "a section"
    LIST = "a list of sections"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a task, or one section or list of settings (`inner`)."""

    name: str
    shape: Shape
    default: Any
    """As the Struct has it; UNSET when it must be given."""
    inner: Kind | None = None
    low: float | None = None
    above: bool = False
    """Whether `low` itself is not allowed."""
    high: float | None = None
    unit: str = ""
    told: str = ""
    """The range in words, where numbers do not tell it."""
    check: Callable[[str], str] = lambda _: ""
    secret: bool = False

    @property
    def range(self) -> str:
        """The values that it may have, in words."""
        if self.shape is Shape.LIST:
            return f"{self.low or 0:g} to {self.high:g} sections"
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.told or self.shape.value}{self._limits()}{unit}"

    def _limits(self) -> str:
        if self.shape is Shape.TEXT:
            return "" if self.told else f" of at most {self.high:g} characters"
        if self.low is None:
            return ""
        low, high = f"{self.low:g}", f"{self.high:.0f}"
        return f" above {low}, at most {high}" if self.above else f" from {low} to {high}"


@lru_cache
def schema(kind: Kind) -> Mapping[str, Setting]:
    """Return a Struct's settings by case-folded name, in their order."""
    described = inspect.type_info(kind)
    if not isinstance(described, inspect.StructType):
        raise TypeError(f"{kind} is no settings Struct")
    return {field.encode_name.casefold(): _setting(field) for field in described.fields}


def ignored_names(kind: Kind) -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Return names without a function here by case-folded name: the name, its allowed values."""
    return {name.casefold(): (name, values) for name, values in IGNORED.get(kind, {}).items()}


def near_name(text: str, kind: Kind) -> str:
    """Return a hint for a name that is none: the nearest one, else all of the kind; or ""."""
    names = _names(kind)
    near = difflib.get_close_matches(text.casefold(), names, n=1)
    if near:
        return f"; did you mean {names[near[0]]}?"
    return f"; there are: {', '.join(one.name for one in schema(kind).values())}" if names else ""


def _names(kind: Kind) -> dict[str, str]:
    names = {}
    for folded, setting in schema(kind).items():
        names[folded] = setting.name
        if setting.inner is not None:
            names |= {lower: f"{setting.name}.{n}" for lower, n in _inner_names(setting)}
    return names


def _inner_names(setting: Setting) -> list[tuple[str, str]]:
    item = "item_0000." if setting.shape is Shape.LIST else ""
    inner = schema(setting.inner) if setting.inner else {}
    return [(lower, f"{item}{one.name}") for lower, one in inner.items()]


def _setting(field: inspect.Field) -> Setting:
    kind: inspect.Type = field.type
    extra: dict[str, Any] = {}
    if isinstance(kind, inspect.Metadata):
        extra = kind.extra or {}
        kind = kind.type
    default = UNSET if field.required else field.default
    return Setting(
        name=field.encode_name,
        default=default,
        unit=extra.get("unit", ""),
        told=extra.get("range", ""),
        check=extra.get("check", lambda _: ""),
        secret=extra.get("secret", False),
        **_shaped(kind),
    )


def _shaped(kind: inspect.Type) -> dict[str, Any]:
    match kind:
        case inspect.BoolType():
            return {"shape": Shape.SWITCH}
        case inspect.IntType():
            return {"shape": Shape.WHOLE, "low": kind.ge, "high": kind.le}
        case inspect.FloatType():
            return {"shape": Shape.DECIMAL, "low": kind.gt, "above": True, "high": kind.le}
        case inspect.StrType():
            return {"shape": Shape.TEXT, "low": kind.min_length, "high": kind.max_length}
        case inspect.StructType():
            return {"shape": Shape.SECTION, "inner": kind.cls}
        case inspect.VarTupleType(item_type=inspect.StructType(cls=inner)):
            return {
                "shape": Shape.LIST,
                "inner": inner,
                "low": kind.min_length,
                "high": kind.max_length,
            }
    raise TypeError(f"a setting of type {kind} cannot be written")
