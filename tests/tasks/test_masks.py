from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.tasks.errors import InvalidSetting
from deodar.tasks.masks import compile_mask


@pytest.mark.parametrize(
    ("mask", "path", "meant"),
    [
        ("/usr/bin/ssh", "/usr/bin/ssh", True),
        ("/usr/bin/ssh", "/usr/bin/sshd", False),
        ("/usr/bin/ssh", "/opt/usr/bin/ssh", False),
        ("/usr/bin/*", "/usr/bin/ssh", True),
        ("/usr/bin/*", "/usr/bin/", True),
        ("/usr/bin/*", "/usr/bin/a/b", False),
        ("/usr/*/ssh", "/usr/local/bin/ssh", False),
        ("/usr/**/ssh", "/usr/local/bin/ssh", True),
        ("/usr/**/ssh", "/usr/ssh", False),
        ("/opt/**", "/opt/a/b/c", True),
        ("/opt/**", "/opt", False),
        ("**/python3*", "/a/b/python3.11", True),
        ("**/python3*", "/a/b/python3.11/x", False),
        ("*/a", "/a", True),
        ("*a/b", "/a/b", False),
        ("/opt/v?/run", "/opt/v1/run", True),
        ("/opt/v?/run", "/opt/v/run", False),
        ("/opt?run", "/opt/run", False),
        ("/a.b", "/axb", False),
        ("/a[bc]", "/a[bc]", True),
        ("/a[bc]", "/ab", False),
        ("/opt/A", "/opt/a", False),
        ("/a*b*c", "/abbbcxbc", True),
        ("/a*b*c", "/abbbcxb", False),
        ("/opt/*/bin/**", "/opt/x/bin/y/z", True),
        ("/opt/*/bin/**", "/opt/x/y/bin/z", False),
        ("/a\nb*", "/a\nb\nc", True),
        ("/x", "/x\n", False),
    ],
)
def test_a_mask_means_whole_paths(mask: str, path: str, meant: bool) -> None:
    assert (compile_mask(mask).match(path) is not None) is meant


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        ("", "a full path is expected"),
        ("bin/ssh", "a full path is expected"),
        ("?/x", "a full path is expected"),
        ("/a/**/b/**", "only once"),
        ("/a/***", "means nothing"),
        ("/" + "a" * 4096, "at most 4096"),
    ],
)
def test_what_is_no_mask_is_refused(mask: str, problem: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(problem)):
        compile_mask(mask)


def _plain(mask: str, path: str) -> bool:
    """Say the same, slowly: try every length for each star."""
    if not mask:
        return not path
    if mask.startswith("**"):
        return any(_plain(mask[2:], path[n:]) for n in range(len(path) + 1))
    if mask[0] == "*":
        longest = len(path.split("/", maxsplit=1)[0])
        return any(_plain(mask[1:], path[n:]) for n in range(longest + 1))
    if not path or (path[0] != mask[0] and (mask[0] != "?" or path[0] == "/")):
        return False
    return _plain(mask[1:], path[1:])


@given(
    st.text("ab/?*", max_size=10).map(lambda text: "/" + re.sub(r"\*+", "*", text)),
    st.none() | st.integers(1, 10),
    st.text("ab/", max_size=10).map(lambda text: "/" + text),
)
def test_a_pattern_says_what_trying_every_length_says(
    mask: str, crossing: int | None, path: str
) -> None:
    if crossing is not None:
        mask = (mask[:crossing].rstrip("*") or "/") + "**" + mask[crossing:].lstrip("*")
    assert (compile_mask(mask).match(path) is not None) is _plain(mask, path)


def test_a_long_name_costs_no_time() -> None:
    pattern = compile_mask("/**/" + "*a" * 60 + "*b")
    path = "/x" * 100 + "/" + "a" * 250
    before = time.monotonic()
    assert not pattern.match(path)
    assert time.monotonic() - before < 0.5
