"""The normalizer ``deodar-json``: normalized events as a collector's own destinations send them.

Each event is a JSON object whose keys are fields of the event model, times in ms since the epoch;
its ID stays. What names the sender's collector, tenant and batch goes to ``Extra``, for here an
event belongs to the collector that took it. ``Extra`` has also what is no field, what does not fit
its field, and all of what is longer than its field. What is no object becomes a dead letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deodar.columnar.dead_letters import DeadLetter
from deodar.siem.normalizers.base import arrived
from deodar.siem.normalizers.rows import outcome
from deodar.siem.storage.model import MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.columnar.decoding import Buffer
    from deodar.columnar.program import Outcome

FOREIGN = ("ServiceID", "ServiceName", "TenantID", "TenantName", "BatchID")
"""What names the sender's side."""

_LARGEST = (1 << 63) - 1
_INTEGER = Annotated[int, msgspec.Meta(ge=-_LARGEST - 1, le=_LARGEST)]
_KINDS: dict[str, Any] = {
    "string": str,
    "integer": _INTEGER,
    "time": _INTEGER,
    "float": float,
    "strings": list[str],
    "map": dict[str, str],
}
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_DECODERS = {
    name: msgspec.json.Decoder(_KINDS[field.kind], strict=False) for name, field in MODEL.items()
}
_DECODERS |= {name: msgspec.json.Decoder(str) for name in FOREIGN}
_TEXT = msgspec.json.Decoder(str)
_LENGTHS = {name: field.max_length for name, field in MODEL.items() if field.max_length}


class DeodarJsonNormalizer:
    """Takes the fields over one by one."""

    def run(self, events: Sequence[Buffer]) -> Outcome:
        """Return a row for each event that is a JSON object."""
        rows, indexes, dead = [], [], []
        for index, event in enumerate(arrived(events)):
            try:
                rows.append(_row(event))
                indexes.append(index)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                reason = str(error) or type(error).__name__
                dead.append(DeadLetter(f"no JSON object: {reason}", "$", index, event))
        return outcome(rows, indexes, dead)


def _row(event: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {}
    extra: dict[str, str] = {}
    for name, raw in _OBJECT.decode(event).items():
        decoder = _DECODERS.get(name)
        try:
            value = None if decoder is None else decoder.decode(raw)
        except msgspec.MsgspecError:
            value = None
        if name == "Extra" and value is not None:
            extra = value | extra
        elif name in FOREIGN or value is None:
            extra[name] = _text(raw) if value is None else value
        else:
            row[name] = _shortened(name, value, extra)
    return row | {"Extra": extra} if extra else row


def _shortened(name: str, value: Any, extra: dict[str, str]) -> Any:
    longest = _LENGTHS.get(name)
    if longest is None or not isinstance(value, str) or len(value) <= longest:
        return value
    extra[name] = value
    return value[:longest]


def _text(raw: msgspec.Raw) -> str:
    """Return a value as text: a JSON string without its quotes, all else as JSON."""
    try:
        return str(_TEXT.decode(raw))
    except msgspec.MsgspecError:
        return bytes(raw).decode("utf-8", "backslashreplace")
