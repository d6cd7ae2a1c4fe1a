"""Files that real programs write and rotate; the connector is stopped and killed in between."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

import pytest
from tests.siem.connectors.kept import KeptSink, running, until

from deodar.siem.connectors.file import FileConnector, FileSettings
from deodar.siem.errors import ConnectorError

needs_logrotate = pytest.mark.skipif(
    shutil.which("logrotate", path="/usr/sbin:/usr/bin") is None, reason="logrotate is missing"
)
FAST = {"look_seconds": 0.05, "linger_seconds": 0.3}


def made(sink, *paths, **changes) -> FileConnector:
    settings = FileSettings(paths=[str(path) for path in paths], **{**FAST, **changes})
    return FileConnector(settings, paths[0], sink)


def write(path, *lines, mode="a") -> None:
    with path.open(mode) as file:
        file.write("".join(f"{line}\n" for line in lines))


def rotate(folder, options: str) -> None:
    configuration = folder / "logrotate.conf"
    configuration.write_text(f"{folder}/app.log {{\n rotate 5\n {options}\n}}\n")
    configuration.chmod(0o644)
    command = ["logrotate", "--force", "--state", f"{folder}/state", str(configuration)]
    path = "/usr/sbin:/usr/bin:/bin"
    subprocess.run(command, check=True, env={"PATH": path}, capture_output=True)


def pack(path) -> None:
    subprocess.run(["gzip", path], check=True)


@pytest.fixture
def folder(tmp_path):
    tmp_path.chmod(0o755)
    return tmp_path


async def test_lines_come_as_they_are_written_each_once(folder):
    sink, log = KeptSink(), folder / "app.log"
    write(log, "one", "two")
    async with running(made(sink, folder / "*.log")):
        await until(lambda: sink.events() == [b"one", b"two"])
        with log.open("a") as file:
            file.write("thr")
            file.flush()
            write(folder / "other.log", "x")
            await until(lambda: b"x" in sink.events())
            assert b"thr" not in sink.events()
            file.write("ee\n")
        await until(lambda: b"three" in sink.events())
    assert sink.arrived()[0] == (str(log), b"one")


@needs_logrotate
@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
@pytest.mark.parametrize("options", ["create", "copytruncate", "create\n compress\n delaycompress"])
async def test_rotation_by_logrotate_loses_and_repeats_nothing(folder, options, pattern):
    sink, log = KeptSink(), folder / "app.log"
    write(log, *(f"0-{n}" for n in range(300)))
    expected = [f"0-{n}" for n in range(300)]
    async with running(made(sink, folder / pattern)):
        for turn in range(1, 4):
            await until(lambda: len(sink.events()) == len(expected))  # noqa: B023
            lines = [f"{turn}-{n}" for n in range(300)]
            if "copytruncate" not in options:
                write(log, *lines)  # unread when it is renamed
                expected += lines
            await asyncio.to_thread(rotate, folder, options)
            write(log, f"after {turn}")
            expected.append(f"after {turn}")
        await until(lambda: len(sink.events()) >= len(expected))
        await asyncio.sleep(4 * FAST["look_seconds"])  # what came twice would come now
    assert sorted(sink.events()) == sorted(line.encode() for line in expected)


@needs_logrotate
async def test_what_a_truncation_cut_off_is_read_from_the_copy(folder):
    sink, log = KeptSink(), folder / "app.log"
    write(log, *(f"old {n}" for n in range(100)))
    async with running(made(sink, folder / "app.log*")):
        await until(lambda: len(sink.events()) == 100)
    write(log, *(f"unread {n}" for n in range(100)))
    rotate(folder, "copytruncate")
    write(log, "new")
    async with running(made(sink, folder / "app.log*"), sink.state):
        await until(lambda: len(sink.events()) == 201)
    assert len(set(sink.events())) == 201
    assert sink.counts["copies_followed"] == 1


@needs_logrotate
async def test_a_file_that_was_renamed_while_the_collector_was_down_is_read_on(folder):
    sink, log = KeptSink(), folder / "app.log"
    write(log, "one")
    async with running(made(sink, log)):
        await until(lambda: sink.events() == [b"one"])
    write(log, "two")
    rotate(folder, "create")
    write(log, "three")
    async with running(made(sink, log), sink.state):
        await until(lambda: len(sink.events()) == 3)
    assert sorted(sink.events()) == [b"one", b"three", b"two"]


async def test_a_deleted_file_is_read_to_its_end_with_its_last_line(folder):
    sink, log = KeptSink(), folder / "app.log"
    write(log, "one")
    async with running(made(sink, log)):
        await until(lambda: sink.events() == [b"one"])
        with log.open("a") as file:
            log.unlink()
            file.write("two\nlast")
            file.flush()
            await until(lambda: sink.events() == [b"one", b"two", b"last"])
        write(log, "a new file")
        await until(lambda: sink.events()[-1] == b"a new file")


async def test_packed_files_are_read_if_asked_and_only_what_is_new_in_them(folder):
    sink, log = KeptSink(), folder / "app.log"
    write(log, *(f"read {n}" for n in range(100)))
    async with running(made(sink, folder / "app.log*", packed=True)):
        await until(lambda: len(sink.events()) == 100)
    write(log, "unread")
    log.rename(folder / "app.log.1")
    pack(folder / "app.log.1")
    write(folder / "app.log.2", "never seen")
    pack(folder / "app.log.2")
    async with running(made(sink, folder / "app.log*", packed=True), sink.state):
        await until(lambda: len(sink.events()) == 102)
    assert set(sink.events()[100:]) == {b"unread", b"never seen"}


async def test_without_packed_files_named_gz_are_left_alone(folder):
    sink = KeptSink()
    write(folder / "a.gz", "x")
    write(folder / "b", "y")
    async with running(made(sink, folder / "*")):
        await until(sink.events)
    assert sink.events() == [b"y"]


async def test_from_the_end_only_later_lines_and_files_come(folder):
    sink, log = KeptSink(), folder / "app.log"
    write(log, "old", "old")
    async with running(made(sink, folder / "*.log", start="end")):
        await until(lambda: sink.state)
        write(log, "new")
        write(folder / "later.log", "later")
        await until(lambda: len(sink.events()) == 2)
    assert sorted(sink.events()) == [b"later", b"new"]


async def test_a_line_that_is_too_long_is_put_aside_and_the_rest_comes(folder):
    sink, log = KeptSink(), folder / "app.log"
    write(log, "a", "x" * 1_000_000, "b" * 64, "c" * 65, "d")
    async with running(made(sink, log, max_event_bytes=64)):
        await until(lambda: b"d" in sink.events())
    assert sink.events() == [b"a", b"b" * 64, b"d"]
    assert [body for _, _, body in sink.aside] == [b"x" * 64, b"c" * 64]
    assert sink.counts["too_long"] == 2


async def test_places_are_kept_with_the_lines_wherever_it_is_killed(folder):
    """Each handover is a moment at which the collector may be killed: go on from each of them."""
    sink, log = KeptSink(), folder / "app.log"
    write(log, *(f"line {n:06d} {'x' * 100}" for n in range(30_000)))
    async with running(made(sink, log)):
        await until(lambda: len(sink.events()) == 30_000)
    assert len(sink.handovers) > 2
    for kept in range(len(sink.handovers)):
        again = KeptSink(sink.handovers[kept].after)
        again.handovers = sink.handovers[: kept + 1]
        missing = 30_000 - len(again.events())
        async with running(made(again, log), again.state):
            await until(lambda again=again: len(again.events()) >= 30_000)
        assert again.events() == sink.events(), missing


async def test_a_full_journal_holds_reading_back(folder):
    sink, log = KeptSink(), folder / "app.log"
    sink.open.clear()
    write(log, *("x" * 1000 for _ in range(10_000)))
    async with running(made(sink, log)):
        await until(sink._lock.locked)
        sink.open.set()
        await until(lambda: len(sink.events()) == 10_000)


async def test_many_files_with_few_open_are_all_read(folder):
    sink = KeptSink()
    for number in range(60):
        write(folder / f"{number}.log", f"{number} first")
    async with running(made(sink, folder / "*.log", max_open=5)):
        await until(lambda: len(sink.events()) == 60)
        for number in range(60):
            write(folder / f"{number}.log", f"{number} second")
        await until(lambda: len(sink.events()) == 120)
    assert len(set(sink.events())) == 120


async def test_more_files_than_allowed_are_told(folder):
    sink = KeptSink()
    for number in range(5):
        write(folder / f"{number}.log", f"{number}")
    async with running(made(sink, folder / "*.log", max_files=3)):
        await until(lambda: len(sink.events()) == 3)
    assert sink.counts["looks_with_too_many_files"] >= 1


async def test_excluded_files_and_other_delimiters_and_encodings(folder):
    sink = KeptSink()
    (folder / "a.log").write_bytes("раз\nдва;три;".encode("cp866"))
    write(folder / "a.tmp.log", "no;")
    changes = {"exclude": ["*.tmp.log"], "delimiter": ";", "character_encoding": "cp866"}
    async with running(made(sink, folder / "*.log", **changes)):
        await until(lambda: len(sink.events()) == 2)
    assert [event.decode() for event in sink.events()] == ["раз\nдва", "три"]


async def test_begun_anew_everything_is_read_again(folder):
    sink, log = KeptSink(), folder / "app.log"
    write(log, "one")
    connector = made(sink, log)
    async with running(connector):
        await until(lambda: sink.events() == [b"one"])
        sink.state = None  # the collector's reset is durable first
        connector.begin_anew()
        await until(lambda: sink.events() == [b"one", b"one"])


async def test_a_check_names_a_file_or_says_that_there_is_none(folder):
    with pytest.raises(ConnectorError, match="no file is found"):
        await made(KeptSink(), folder / "*.log").check()
    write(folder / "a.log", "x")
    assert "1 files, such as" in await made(KeptSink(), folder / "*.log").check()


@pytest.mark.parametrize(("paths", "words"), [([], "paths: give"), (["x.log"], "not absolute")])
def test_settings_that_do_not_fit_are_told(paths, words):
    assert words in FileSettings(paths=paths).problem()
    assert FileSettings(paths=["/x"]).problem() == ""
