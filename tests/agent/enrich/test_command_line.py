from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.enrich.command_line import join, quote, split

ARGUMENT = st.one_of(
    st.binary(max_size=20),
    st.text(alphabet="ab '\"\\$`\n\té€", max_size=12).map(str.encode),
).map(lambda argument: argument.replace(b"\0", b""))


@given(st.lists(ARGUMENT, max_size=6))
def test_arguments_can_be_recovered_whatever_they_hold(argv: list[bytes]) -> None:
    assert split(join(argv)) == argv


@given(st.lists(ARGUMENT, max_size=6))
def test_line_is_printable_unicode(argv: list[bytes]) -> None:
    line = join(argv)
    assert line.encode("utf-8").decode("utf-8") == line
    assert not any(ord(character) < 0x20 or ord(character) == 0x7F for character in line)


@pytest.mark.parametrize(
    ("argument", "quoted"),
    [
        (b"/bin/true", "/bin/true"),
        (b"--color=auto", "--color=auto"),
        (b"", "''"),
        (b"two words", "'two words'"),
        (b"it's", "'it'\\''s'"),
        (b"*.py", "'*.py'"),
        ("žluť".encode(), "'žluť'"),
        (b"a\nb", r"$'a\x0ab'"),
        (b"\xff", r"$'\xff'"),
        (b"\xff'\\", r"$'\xff\'\\'"),
    ],
)
def test_quoting_is_as_short_as_it_can_be(argument: bytes, quoted: str) -> None:
    assert quote(argument) == quoted


@given(st.lists(ARGUMENT.filter(bool), min_size=1, max_size=4))
def test_shell_quoted_text_of_others_is_taken_apart(argv: list[bytes]) -> None:
    line = " ".join("'" + a.decode("latin-1").replace("'", "'\\''") + "'" for a in argv)
    assert split(line) == [a.decode("latin-1").encode() for a in argv]


def test_line_means_the_same_to_bash() -> None:
    argv = [b"it's", b"a\nb", b"\xfe\xff", b"$HOME `id` !!", b"*", b"", b"back\\slash", b"~"]
    script = 'printf "%s\\0" ' + join(argv)
    printed = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert printed == b"".join(argument + b"\0" for argument in argv)


@given(st.text())
def test_any_text_is_taken_apart_without_an_error(text: str) -> None:
    assert all(isinstance(argument, bytes) for argument in split(text))
