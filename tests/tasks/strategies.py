"""Settings as hypothesis makes them: any that the declarations allow."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec import UNSET

from deodar.tasks.schema import Setting, Shape, schema
from deodar.tasks.settings import Kind

_PIECE = st.text("abc*?/\\\"'=;#[] é😀", max_size=20)
_TEXTS = {
    "Address": st.sampled_from(["10.0.0.1", "::1", "fe80::1", "edr.example.org", "a_b", "h."]),
    "ProgramPath": _PIECE.map(lambda text: "/" + text.replace("*", "")) | st.just("/opt/**/b*n/?"),
    "FolderPath": _PIECE.map(lambda text: "/srv/a" + text.replace("*", "").replace("?", "")),
    "ProxyServer": st.sampled_from(["", "p:3128", "[::1]:1", "u:p@ss w;rd@h:80", "u@h:80"]),
    "ProgramDesc": st.text(
        st.characters(blacklist_categories=["Cs", "Cc"]) | st.sampled_from(' "\\;#'), max_size=50
    ),
}


def values(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """Return partial settings in KESL's shape."""
    always = {s.name: _value(s) for s in schema(kind).values() if s.default is UNSET}
    sometimes = {s.name: _value(s) for s in schema(kind).values() if s.default is not UNSET}
    return st.fixed_dictionaries(always, optional=sometimes)


def _value(setting: Setting) -> st.SearchStrategy[Any]:
    low, high = setting.low or 0, setting.high or 0
    match setting.shape:
        case Shape.SWITCH:
            return st.booleans()
        case Shape.WHOLE:
            return st.integers(int(low), int(high))
        case Shape.DECIMAL:
            return st.integers(1, int(high) * 1000).map(lambda number: number / 1000)
        case Shape.TEXT:
            return _TEXTS[setting.name]
        case Shape.SECTION:
            assert setting.inner
            return values(setting.inner)
        case Shape.LIST:
            assert setting.inner
            return st.lists(values(setting.inner), min_size=int(low), max_size=4)
