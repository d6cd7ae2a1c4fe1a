"""From the character encoding of a source to UTF-8.

Bytes that the encoding does not have become U+FFFD and are counted, so that one of them costs no
event and is still told.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

from deodar.kit.errors import SettingsError

_BOM = "\ufeff"
_REPLACEMENT = "\ufffd"
_TRIAL = "{}"


class Converted(NamedTuple):
    """A text in UTF-8, and how many pieces of it could not be converted."""

    body: bytes
    replaced: int


def known_encoding(name: str) -> str:
    """Return Python's name of a character encoding, "" for none (nothing is converted).

    Raises SettingsError when there is no such encoding, or it is none of characters.
    """
    if not name:
        return ""
    try:
        found = codecs.lookup(name).name
        _TRIAL.encode(found).decode(found)
    except (LookupError, UnicodeError, ValueError) as error:
        raise SettingsError(
            f"{name!r} is no character encoding that is known here; such are utf-8, utf-16, "
            "windows-1251, koi8-r, iso-8859-5"
        ) from error
    return found


def to_utf8(body: bytes, encoding: str) -> Converted:
    """Return a body as UTF-8; `encoding` is one that `known_encoding` returned.

    What is counted as replaced includes each U+FFFD that was in the text before.
    """
    if not encoding:
        return Converted(body, 0)
    replaced = 0
    try:
        text = body.decode(encoding)
    except UnicodeError:
        text = body.decode(encoding, "replace")
        replaced = text.count(_REPLACEMENT)
    return Converted(text.removeprefix(_BOM).encode("utf-8", "replace"), replaced)
