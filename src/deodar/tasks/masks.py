"""Masks of program paths, as KESL has them.

``*`` is any run of characters without ``/``, ``?`` is one such character, ``**`` also crosses ``/``
and may stand once in a mask. The pattern that comes of it never tries the same characters twice
for two stars of one name, so that a program's name cannot be made to cost time.
"""

from __future__ import annotations

import re

from deodar.tasks.errors import InvalidSetting

MAXIMUM_LENGTH = 4096


def compile_mask(mask: str) -> re.Pattern[str]:
    """Return a pattern that matches exactly the whole paths that the mask means.

    Raises InvalidSetting when it is no mask.
    """
    if problem := mask_problem(mask):
        raise InvalidSetting(problem, setting="ProgramPath", value=mask[:200])
    left, crossing, right = mask.partition("**")
    between = ".*" if crossing else ""
    text = _part(left, is_open=bool(crossing)) + between + _part(right, is_open=False)
    return re.compile(rf"\A{text}\Z", re.DOTALL)


def mask_problem(mask: str) -> str:
    """Return why a text is no mask of a program path; "" if it is one."""
    if not mask.startswith(("/", "*")):
        return "a full path is expected: it begins with / or with *"
    if len(mask) > MAXIMUM_LENGTH:
        return f"at most {MAXIMUM_LENGTH} characters are allowed"
    if "***" in mask:
        return "write * for a name and ** for any folders; *** means nothing"
    if mask.count("**") > 1:
        return "** may stand only once in a path"
    return ""


def folder_problem(path: str) -> str:
    """Return why a text is not the full path of a folder; "" if it is one."""
    if not path.startswith("/"):
        return "a full path is expected: it begins with /"
    if not path.strip("/"):
        return "the root folder cannot be left out: that would be everything"
    if any(part in (".", "..") for part in path.split("/")):
        return "a path without . and .. is expected"
    if "*" in path or "?" in path:
        return "masks are not possible here"
    return ""


def _part(text: str, *, is_open: bool) -> str:
    """Return the pattern of one side of ``**``; `is_open`: anything may follow its last name."""
    names = text.split("/")
    closed = [_name(name, is_open=False) for name in names[:-1]]
    return "/".join([*closed, _name(names[-1], is_open=is_open)])


def _name(text: str, *, is_open: bool) -> str:
    """Return the pattern of one name between slashes.

    What follows a star is sought once, from the left, and kept (an atomic group): a later place
    could not help. Only the last piece of a name that is to end here is sought from its end.
    """
    first, *rest = (_literal(piece) for piece in text.split("*"))
    if not rest:
        return first
    *middle, last = rest
    sought = "".join(f"(?>[^/]*?{piece})" for piece in middle if piece)
    return first + sought + (f"(?>[^/]*?{last})" if is_open else f"[^/]*{last}")


def _literal(text: str) -> str:
    return "".join("[^/]" if character == "?" else re.escape(character) for character in text)
