from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.agent.hashing.facts import (
    ELF,
    OTHER,
    OTHER_EXECUTABLE,
    PE_IMAGE,
    UNKNOWN,
    describe,
    identity_of,
    known_of,
    type_of,
)
from deodar.agent.sensors.base import FileIdentity
from deodar.events.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("first", "number", "name"),
    [
        (b"\x7fELF\x02", ELF, "ELF"),
        (b"MZ\x90", PE_IMAGE, "PE image"),
        (b"#!/bin/sh\n", OTHER_EXECUTABLE, "other executable"),
        (b"", OTHER, "other"),
        (b"\x7fEL", OTHER, "other"),
    ],
)
def test_types_are_those_of_the_vocabulary(first: bytes, number: int, name: str) -> None:
    assert type_of(first) == number
    assert dict(VOCABULARY.fields["FileType"].values)[number] == name


def test_open_file_is_described(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x7fELF" + bytes(40))
    with path.open("rb") as file:
        identity = identity_of(path.stat())
        facts = describe(file.fileno(), identity)
    assert facts.is_elf
    assert (facts.size, facts.header) == (44, "7f454c46" + "00" * 12)
    assert facts.modified_us == path.stat().st_mtime_ns // 1000
    assert facts.identity == identity
    assert (facts.md5, facts.fuzzy, facts.entropy) == ("", "", None)


def test_identity_alone_tells_size_and_time() -> None:
    facts = known_of(FileIdentity(1, 2, 30, 4_000_000, 5))
    assert facts is not None
    assert (facts.size, facts.modified_us, facts.file_type) == (30, 4000, UNKNOWN)
    assert known_of(None) is None
