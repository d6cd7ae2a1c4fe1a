from __future__ import annotations

import random
import re

import pytest

from deodar.events import VOCABULARY, samples
from deodar.events.samples import File


def test_a_file_is_always_the_same() -> None:
    one, other = File("/usr/bin/ls"), File("/usr/bin/ls")
    assert one.as_image == other.as_image
    assert one.as_image != File("/usr/bin/cat").as_image
    assert (one.name, one.folder) == ("ls", "/usr/bin")


def test_folders_of_windows_files_and_of_the_root() -> None:
    assert File(r"C:\Windows\explorer.exe").folder == r"C:\Windows"
    assert File("/init").folder == "/"


def test_hashes_look_like_hashes() -> None:
    file = File("/usr/bin/ls")
    assert re.fullmatch(r"[0-9a-f]{32}", file.md5)
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert re.fullmatch(r"\d+:\w{1,64}:\w{1,32}", file.fuzzy)
    assert re.fullmatch(r"[0-9a-f]{32}", file.header)
    assert 0 <= file.entropy <= 8000


@pytest.mark.parametrize("prefix", ["Dropped", "Dll", "Blocked", "InterpretedFile"])
def test_fields_of_a_file_have_names_of_the_vocabulary(prefix: str) -> None:
    assert set(File("/a/b").fields(prefix)) <= set(VOCABULARY.fields)


def test_programs_start_only_programs_that_there_are() -> None:
    started = {name for program in samples.PROGRAMS.values() for name in program.starts}
    assert started <= set(samples.PROGRAMS)


def test_command_lines_are_filled_in() -> None:
    rng = random.Random(1)
    for program in samples.PROGRAMS.values():
        lines = {samples.command_line(rng, program) for _ in range(20)}
        assert not any("{n}" in line or "{file}" in line for line in lines)
