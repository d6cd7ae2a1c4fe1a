"""Normalizers by name: those with code of their own, and the declarative ones in YAML files."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from deodar.columnar.program import compile as compile_spec
from deodar.siem.normalizers import loader
from deodar.siem.normalizers.deodar_json import DeodarJsonNormalizer
from deodar.siem.normalizers.errors import NormalizerError
from deodar.siem.normalizers.raw import RawNormalizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deodar.siem.normalizers.base import Normalizer

CODED: Mapping[str, Callable[[], Normalizer]] = MappingProxyType(
    {"deodar-json": DeodarJsonNormalizer, "raw": RawNormalizer}
)


def names() -> tuple[str, ...]:
    """Return the names of all normalizers that come with Deodar."""
    return tuple(sorted((*CODED, *loader.built_in())))


def open_normalizer(name: str) -> Normalizer:
    """Return a normalizer by its name, or by the path of a file; raises NormalizerError."""
    made = CODED.get(name)
    if made is not None:
        return made()
    if name not in loader.built_in() and not Path(name).is_file():
        raise NormalizerError(
            f"there is no normalizer {name}: give a path, or one of these: {', '.join(names())}"
        )
    return compile_spec(loader.load(name))
