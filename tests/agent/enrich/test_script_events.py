from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from deodar.agent.enrich.hashes import identity_of
from deodar.agent.enrich.proc import live_process
from deodar.agent.enrich.registry import event_of
from deodar.agent.enrich.script_events import readable
from deodar.agent.sensors.acts import ConsoleLine, ScriptRun
from deodar.agent.sensors.base import ProcessKey
from deodar.events.codec import check
from deodar.events.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record

NOW = 1_800_000_000_123_456_789


def own_key() -> ProcessKey:
    live = live_process(os.getpid())
    assert live is not None
    return live.key


def records() -> list[Record]:
    return [
        ScriptRun(NOW, own_key(), b"/x/y.sh", b"echo", 4),
        ScriptRun(NOW, own_key(), b"", b"echo", 4, None, "0" * 64, "0" * 32),
        ScriptRun(NOW, ProcessKey(4_000_001, 5), b"/x/y.sh"),
        ConsoleLine(NOW, own_key(), "tty", "pts/3", b"id", True, 7),
    ]


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_every_event_fits_the_vocabulary(context: Context, record: Record) -> None:
    event = event_of(context, record)
    assert check(event) == []
    assert set(event) <= set(VOCABULARY.types[event["EventType"]].fields)
    assert None not in event.values()


def test_script_in_a_file_has_its_facts(context: Context, tmp_path: Path) -> None:
    file = tmp_path / "run.sh"
    file.write_bytes(b"echo hello\n" * 3000)
    identity = identity_of(file.stat())
    assert context.hasher.facts(identity, [str(file)]) is not None  # as the gatherer does
    content = file.read_bytes()
    run = ScriptRun(NOW, own_key(), os.fsencode(file), content[:100], len(content), identity)
    event = event_of(context, run)
    assert event["EventType"] == "process_interpretated_file_run"
    assert event["InterpretedFileFullName"] == str(file)
    assert (event["InterpretedFilePath"], event["InterpretedFileName"]) == (str(tmp_path), "run.sh")
    assert event["InterpretedFileSize"] == len(content)
    assert event["InterpretedFileSha256"] == hashlib.sha256(content).hexdigest()
    assert event["InterpretedFileMd5"] == hashlib.md5(content).hexdigest()
    assert event["InterpretedFileModificationTime"] == identity.mtime_ns // 1000
    assert event["InterpretedFileContent"] == content[:100].decode()
    assert event["InterpretedFileContentTruncated"] == 1
    assert event["SystemPid"] == os.getpid()
    assert event["ParentSystemPid"] == os.getppid()


def test_script_without_a_file_has_the_hashes_of_its_text(context: Context) -> None:
    event = event_of(context, ScriptRun(NOW, own_key(), b"", b"id", 2, None, "ab", "cd"))
    assert (event["InterpretedFileSha256"], event["InterpretedFileMd5"]) == ("ab", "cd")
    assert "InterpretedFileName" not in event
    assert "InterpretedFileContentTruncated" not in event


def test_script_that_could_not_be_read_is_told_all_the_same(context: Context) -> None:
    event = event_of(context, ScriptRun(NOW, own_key(), b"/gone/x.sh"))
    assert event["InterpretedFileName"] == "x.sh"
    assert "InterpretedFileSize" not in event


@pytest.mark.parametrize(("source", "told"), [("tty", "console"), ("pipe", "pipe")])
def test_input_tells_text_and_place(context: Context, source: str, told: str) -> None:
    name = "pts/3" if source == "tty" else ""
    line = ConsoleLine(NOW, own_key(), source, name, b"id\n")  # type: ignore[arg-type]
    event = event_of(context, line)
    assert event["EventType"] == "process_console_interactive_input"
    assert (event["InteractiveInputText"], event["InputType"]) == ("id\n", told)
    assert event.get("Tty", "") == (name or event.get("Tty", ""))
    assert event["UniqueParentPid"]


def test_input_that_is_not_all_says_so(context: Context) -> None:
    event = event_of(context, ConsoleLine(NOW, own_key(), "tty", "pts/3", b"id", True, 7))
    assert (event["InteractiveInputTruncated"], event["InteractiveInputDropped"]) == (1, 7)


def test_content_that_does_not_print_is_escaped() -> None:
    assert readable(b"a\tb\n\0\x1b\xffc\xc3\xa9") == "a\tb\n\\x00\\x1b\\xffc\u00e9"
