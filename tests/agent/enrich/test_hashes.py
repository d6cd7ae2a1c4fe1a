from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from deodar.agent.enrich.hashes import FileHasher, identity_of
from deodar.agent.settings import HashSettings

CONTENT = b"\x7fELF" + bytes(range(256)) * 5000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(CONTENT)
    return path


def hasher(**settings: object) -> FileHasher:
    return FileHasher(msgspec.convert(settings, HashSettings))


def test_both_hashes_and_the_facts_are_right(file: Path) -> None:
    facts = hasher().facts(identity_of(file.stat()), [str(file)])
    assert facts is not None
    assert facts.md5 == hashlib.md5(CONTENT).hexdigest()
    assert facts.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert facts.size == len(CONTENT)
    assert facts.modified_us == file.stat().st_mtime_ns // 1000
    assert facts.is_elf


def test_same_content_is_read_once(file: Path) -> None:
    hashes = hasher()
    identity = identity_of(file.stat())
    assert hashes.facts(identity, [str(file)]) == hashes.facts(identity, ["/nowhere"])
    assert (hashes.hits, hashes.misses) == (1, 1)


def test_changed_content_is_read_again(file: Path) -> None:
    hashes = hasher()
    before = hashes.facts(identity_of(file.stat()), [str(file)])
    file.write_bytes(b"#!/bin/sh\n")
    after = hashes.facts(identity_of(file.stat()), [str(file)])
    assert before is not None
    assert after is not None
    assert after.sha256 == hashlib.sha256(b"#!/bin/sh\n").hexdigest()
    assert not after.is_elf


def test_another_file_under_the_name_is_not_hashed(file: Path, tmp_path: Path) -> None:
    identity = identity_of(file.stat())
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    other.rename(file)
    hashes = hasher()
    assert hashes.facts(identity, [str(file)]) is None
    assert hashes.failures == 1


def test_first_path_that_leads_to_the_file_counts(file: Path, tmp_path: Path) -> None:
    decoy = tmp_path / "decoy"
    shutil.copy(file, decoy)
    paths = [str(tmp_path / "missing"), str(tmp_path), str(decoy), "bad\0name", str(file)]
    facts = hasher().facts(identity_of(file.stat()), paths)
    assert facts is not None
    assert facts.modified_us == file.stat().st_mtime_ns // 1000


def test_without_an_identity_the_path_is_believed(file: Path) -> None:
    facts = hasher().facts(None, [str(file)])
    assert facts is not None
    assert facts.md5 == hashlib.md5(CONTENT).hexdigest()


def test_pipes_and_folders_are_never_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert hasher().facts(None, [str(pipe), str(tmp_path)]) is None


def test_large_file_has_facts_but_no_hashes(file: Path) -> None:
    facts = hasher(maximum_file_bytes=100).facts(identity_of(file.stat()), [str(file)])
    assert facts is not None
    assert (facts.size, facts.md5, facts.sha256) == (len(CONTENT), "", "")


def test_hashing_can_be_turned_off(file: Path) -> None:
    facts = hasher(enabled=False).facts(identity_of(file.stat()), [str(file)])
    assert facts is not None
    assert facts.sha256 == ""


def test_event_does_not_wait_longer_than_allowed(tmp_path: Path) -> None:
    file = tmp_path / "huge"
    with file.open("wb") as opened:
        opened.truncate(256 << 20)
    hashes = hasher(maximum_wait=0.01)
    identity = identity_of(file.stat())
    started = time.monotonic()
    facts = hashes.facts(identity, [str(file)])
    assert time.monotonic() - started < 0.2
    assert facts is not None
    assert (facts.size, facts.sha256) == (256 << 20, "")
    assert hashes.timeouts == 1
    deadline = time.monotonic() + 20
    while facts is not None and not facts.sha256 and time.monotonic() < deadline:
        time.sleep(0.05)
        facts = hashes.facts(identity, [str(file)])
    assert facts is not None
    assert facts.sha256 == hashlib.sha256(bytes(256 << 20)).hexdigest()


def test_cache_is_bounded_and_forgets_the_longest_unused(tmp_path: Path) -> None:
    hashes = hasher(cache_entries=16)
    files = []
    for number in range(17):
        file = tmp_path / str(number)
        file.write_bytes(b"%d" % number)
        files.append((identity_of(file.stat()), [str(file)]))
    for identity, paths in files[:16]:
        hashes.facts(identity, paths)
    hashes.facts(*files[0])
    hashes.facts(*files[16])
    misses = hashes.misses
    hashes.facts(*files[0])
    assert hashes.misses == misses
    hashes.facts(*files[1])
    assert hashes.misses == misses + 1


def test_descriptors_do_not_leak(file: Path, tmp_path: Path) -> None:
    hashes = hasher()
    hashes.facts(None, [str(file)])
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(50):
        other = tmp_path / str(number)
        other.write_bytes(b"%d" % number)
        hashes.facts(identity_of(other.stat()), [str(file), str(other), str(tmp_path)])
        hashes.facts(None, [str(other)])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
