"""Reads messages of DNS (RFC 1035) as far as telemetry needs them, and trusts nothing in them.

A message may be cut at its end, as the sensor keeps only its beginning: then it has the answers
that are whole. Names are bounded, and pointers in them only ever lead backwards, so that no message
takes long. A library for all of DNS takes 12 MB of memory; this takes none to speak of.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

MOST_ANSWERS = 32
MOST_TEXT = 512
"""Characters of one answer."""
MOST_POINTERS = 32
MOST_NAME = 255
_HEAD = struct.Struct(">6H")
_RECORD = struct.Struct(">HHIH")
_IS_ANSWER = 0x8000
_POINTER = 0xC0
TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT",
    28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 39: "DNAME", 41: "OPT", 43: "DS", 46: "RRSIG",
    47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 52: "TLSA", 64: "SVCB", 65: "HTTPS", 99: "SPF",
    251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA",
}  # fmt: skip
"""Of the numbers that IANA assigned, those that are met; others show as TYPE and the number."""
RCODES = (
    *("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET"),
    *("NXRRSET", "NOTAUTH", "NOTZONE"),
)


class MessageError(ValueError):
    """The bytes are no message of DNS."""


@dataclass(frozen=True, slots=True)
class Message:
    """A query or an answer."""

    id: int
    is_answer: bool
    name: str
    """That was asked for, in lower case; "." for the root."""
    type: str
    rcode: str
    answers: tuple[str, ...]
    """Each as type and value."""


def read(payload: bytes) -> Message:
    """Return the message; raises MessageError when not even its question can be read."""
    try:
        number, flags, questions, answers, _, _ = _HEAD.unpack_from(payload)
        if not questions:
            raise MessageError("it has no question")
        name, at = _name(payload, _HEAD.size)
        (kind,) = struct.unpack_from(">H", payload, at)
        at += 4
        for _ in range(1, min(questions, 4)):  # nobody sends more than one
            at = _name(payload, at)[1] + 4
    except (IndexError, struct.error) as error:
        raise MessageError(f"it ends within its question ({len(payload)} bytes)") from error
    code = flags & 15
    return Message(
        id=number,
        is_answer=flags & _IS_ANSWER != 0,
        name=name,
        type=type_text(kind),
        rcode=RCODES[code] if code < len(RCODES) else f"RCODE{code}",
        answers=_answers(payload, at, answers),
    )


def type_text(number: int) -> str:
    """Return the name of a type of records."""
    return TYPES.get(number, f"TYPE{number}")


def _answers(payload: bytes, at: int, number: int) -> tuple[str, ...]:
    found: list[str] = []
    try:
        for _ in range(min(number, MOST_ANSWERS)):
            _, at = _name(payload, at)
            kind, _, _, length = _RECORD.unpack_from(payload, at)
            at += _RECORD.size
            if at + length > len(payload):
                break
            found.append(f"{type_text(kind)} {_value(payload, kind, at, length)}"[:MOST_TEXT])
            at += length
    except (IndexError, struct.error, MessageError):
        pass  # cut, or wrong from here on
    return tuple(found)


def _value(payload: bytes, kind: int, at: int, length: int) -> str:
    data = payload[at : at + length]
    if kind == 1 and length == 4:
        return socket.inet_ntop(socket.AF_INET, data)
    if kind == 28 and length == 16:
        return socket.inet_ntop(socket.AF_INET6, data)
    if kind in (2, 5, 6, 12, 39):
        return _name(payload, at)[0]
    if kind == 15:
        return f"{struct.unpack_from('>H', data)[0]} {_name(payload, at + 2)[0]}"
    if kind == 33:
        priority, weight, port = struct.unpack_from(">3H", data)
        return f"{priority} {weight} {port} {_name(payload, at + 6)[0]}"
    if kind in (16, 99):
        return _texts(data)
    return data[: MOST_TEXT // 2].hex()


def _texts(data: bytes) -> str:
    """Return the character strings of a TXT record, put together."""
    at, found = 0, bytearray()
    while at < len(data):
        found += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    return _printable(bytes(found))


def _name(payload: bytes, at: int) -> tuple[str, int]:
    """Return a name and where what follows it begins; raises IndexError, MessageError."""
    labels: list[str] = []
    size, pointers, end, before = 0, 0, 0, at
    while length := payload[at]:
        if length & _POINTER == _POINTER:
            target = (length & ~_POINTER) << 8 | payload[at + 1]
            end = end or at + 2
            pointers += 1
            if target >= before or pointers > MOST_POINTERS:
                raise MessageError(f"a name at {at} points to {target}")
            at = before = target
            continue
        size += length + 1
        if length & _POINTER or size > MOST_NAME:
            raise MessageError(f"a name at {at} has a label of an odd kind, or is too long")
        label = payload[at + 1 : at + 1 + length]
        if len(label) < length:
            raise IndexError
        labels.append(_printable(label.lower(), dots=True))
        at += 1 + length
    return ".".join(labels) or ".", end or at + 1


def _printable(data: bytes, *, dots: bool = False) -> str:
    r"""Return text as master files have it: a byte that does not print shows as ``\DDD``."""
    text = data.decode("latin-1").replace("\\", "\\\\")
    if dots:
        text = text.replace(".", "\\.")
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if " " <= c <= "~" else f"\\{ord(c):03}" for c in text)
