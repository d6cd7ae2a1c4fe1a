"""The ``Raw`` column: the source text of events, for all rows or for those that did not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.columnar.decoding import Buffer
    from deodar.columnar.spec import Spec


def raw_texts(spec: Spec, events: Sequence[Buffer], order: Any, misfits: Any) -> pa.Array | None:
    """Return the source text of each row as the spec wants it; None if there is none.

    ``order`` has for each row the index of its event, ``misfits`` whether a field did not fit. A
    text longer than the spec's limit of bytes is cut between characters.
    """
    if spec.raw == "never" or (spec.raw == "error" and not np.any(misfits)):
        return None
    wanted = np.ones(len(order), bool) if spec.raw == "always" else misfits
    texts = [
        _cut(bytes(events[place]), spec.raw_limit) if want else ""
        for place, want in zip(order.tolist(), wanted.tolist(), strict=True)
    ]
    return pa.array(texts, pa.string())


def _cut(raw: bytes, limit: int) -> str:
    if len(raw) <= limit:
        return raw.decode("utf-8")
    return raw[:limit].decode("utf-8", errors="ignore")
