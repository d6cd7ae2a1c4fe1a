from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import zstandard

from deodar.agent.exclusions import (
    MDR_IS_ON,
    Exclusions,
    Trust,
    compile_exclusions,
    describe,
)
from deodar.agent.loss import LossBook
from deodar.agent.pipeline import Pipeline, PipelinePolicy
from deodar.agent.sensors.bpf import BpfSensor, check_host
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.spool import Spool
from deodar.tasks.errors import InvalidSetting
from deodar.tasks.settings import BehaviorDetectionSettings, TrustedProgram

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deodar.agent.enrich.context import Context
    from deodar.agent.settings import AgentSettings

BACKUP = TrustedProgram(program_path="/opt/*/bin/backup", program_desc="nightly")
BUILD = TrustedProgram(program_path="/usr/bin/make", apply_to_descendants=True)
IDLE = TrustedProgram(program_path="/usr/bin/idle", use_trusted_program=False)


def behavior(*programs: TrustedProgram, use: bool = True) -> BehaviorDetectionSettings:
    return BehaviorDetectionSettings(use_trusted_programs=use, trusted_programs=programs)


@pytest.mark.parametrize(
    ("path", "trust"),
    [
        ("/opt/acme/bin/backup", Trust.PROGRAM),
        ("/opt/acme/x/bin/backup", Trust.NONE),
        ("/opt/acme/bin/backup2", Trust.NONE),
        ("/usr/bin/make", Trust.FAMILY),
        ("/USR/BIN/MAKE", Trust.NONE),
        ("make", Trust.NONE),
        ("", Trust.NONE),
    ],
)
def test_programs_are_told_by_the_whole_path(path: str, trust: Trust) -> None:
    assert Exclusions([BACKUP, BUILD]).of_program(path) is trust


def test_the_entry_that_trusts_most_counts() -> None:
    wide = TrustedProgram(program_path="/usr/**", apply_to_descendants=True)
    plain = TrustedProgram(program_path="/usr/bin/make")
    for programs in ([wide, plain], [plain, wide], [plain, BUILD], [BUILD, plain]):
        assert Exclusions(programs).of_program("/usr/bin/make") is Trust.FAMILY


def test_mask_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidSetting):
        Exclusions([TrustedProgram(program_path="bin/*/x")])


def test_only_what_is_switched_on_counts() -> None:
    assert compile_exclusions(behavior(BACKUP, use=False), use_mdr=False) is None
    assert compile_exclusions(behavior(), use_mdr=False) is None
    assert compile_exclusions(behavior(IDLE), use_mdr=False) is None
    assert compile_exclusions(behavior(BACKUP), use_mdr=True) is None
    found = compile_exclusions(behavior(BACKUP, IDLE), use_mdr=False)
    assert found is not None
    assert found.of_program("/usr/bin/idle") is Trust.NONE
    assert found.of_program("/opt/a/bin/backup") is Trust.PROGRAM


def test_the_status_says_what_is_left_out_or_why_nothing_is() -> None:
    every = behavior(BACKUP, BUILD, IDLE)
    assert describe(every, use_mdr=False) == [
        "/opt/*/bin/backup (nightly)",
        "/usr/bin/make and its descendants",
    ]
    assert describe(every, use_mdr=True) == [MDR_IS_ON]
    assert describe(behavior(BACKUP, use=False), use_mdr=True) == []


LIFE = ("process", "process_terminate")


class Watch:
    """A real sensor and a real pipeline, with these exclusions."""

    def __init__(self, folder: Path, context: Context, settings: AgentSettings) -> None:
        self.folder, self.context, self.settings = folder, context, settings
        self.runs = 0

    def program(self, name: str, script: str = "") -> Path:
        """Make a program of that name: /bin/true, or a shell that is given a script."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/sh" if script else "/bin/true", path)
        return path

    def seen(self, policy: PipelinePolicy, *commands: list[str]) -> tuple[Counter[str], int]:
        """Run commands; return in how many events each program of the folder starts or ends, and
        how many records were left out."""
        self.runs += 1
        folder = self.folder / f"run-{self.runs}"
        folder.mkdir()
        losses = LossBook()
        spool = Spool(folder / "spool", self.settings.spool, losses)
        sensor = BpfSensor()
        sensor.open()
        try:
            pipeline = Pipeline(sensor, self.context, spool, losses, self.settings, policy)
            pipeline.start()
            for command in commands:
                subprocess.run(command, check=True)
            end = self.program("end")
            subprocess.run([end], check=True)
            time.sleep(0.3)
            pipeline.stop(10)
        finally:
            sensor.close()
        batch = spool.take(max_events=1_000_000)
        assert batch is not None
        reader = zstandard.ZstdDecompressor().stream_reader(batch.body, read_across_frames=True)
        events = [json.loads(line) for line in reader.readall().splitlines()]
        paths = [e.get("FileFullName", "") for e in events if e["EventType"] in LIFE]
        spool.close()
        names = (path.removeprefix(f"{self.folder}/") for path in paths if path)
        found = Counter(name for name in names if not name.startswith("/"))
        assert found["end"] >= 2  # its start and its end
        return found, pipeline.counters.excluded


@pytest.fixture
def watch(tmp_path: Path, context: Context, settings: AgentSettings) -> Watch:
    try:
        check_host()
    except SensorUnavailable as error:
        pytest.skip(str(error))
    return Watch(tmp_path, context, settings)


def policy(*programs: TrustedProgram, use: bool = True, use_mdr: bool = False) -> PipelinePolicy:
    return PipelinePolicy(
        exclusions=compile_exclusions(behavior(*programs, use=use), use_mdr=use_mdr)
    )


def text(counts: tuple[Counter[str], int], name: str) -> str:
    return f"{counts[0][name]} events, {counts[1]} left out"


@pytest.mark.root
@pytest.mark.setting("Behavior_Detection.UseTrustedPrograms")
@pytest.mark.setting("Behavior_Detection.TrustedPrograms.UseTrustedProgram")
@pytest.mark.setting("Application.UseMDR")
def test_trusted_program_is_left_out_only_while_all_switches_say_so(
    watch: Watch, saw: Callable[[str, str], None]
) -> None:
    program = str(watch.program("opt/backup"))
    trusted = TrustedProgram(program_path=program)
    idle = TrustedProgram(program_path=program, use_trusted_program=False)
    on = watch.seen(policy(trusted), [program])
    off = watch.seen(policy(trusted, use=False), [program])
    unused = watch.seen(policy(idle), [program])
    mdr = watch.seen(policy(trusted, use_mdr=True), [program])
    assert on[0]["opt/backup"] == 0
    assert on[1] >= 2
    for other in (off, unused, mdr):
        assert other[0]["opt/backup"] == 2
        assert other[1] == 0
    yes, name = text(on, "opt/backup"), "opt/backup"
    saw("Behavior_Detection.UseTrustedPrograms", f"Yes: {yes}; No: {text(off, name)}")
    saw(
        "Behavior_Detection.TrustedPrograms.UseTrustedProgram",
        f"Yes: {yes}; No: {text(unused, name)}",
    )
    saw("Application.UseMDR", f"No: {yes}; Yes: {text(mdr, name)}, and the status says why")


@pytest.mark.root
@pytest.mark.setting("Behavior_Detection.TrustedPrograms.ProgramPath")
def test_masks_choose_the_programs(watch: Watch, saw: Callable[[str, str], None]) -> None:
    names = ("opt/a/bin/tool", "opt/a/b/bin/tool", "opt/a/bin/tool2")
    commands = [[str(watch.program(name))] for name in names]
    results = []
    for mask, kept in (
        ("opt/*/bin/tool", names[1:]),
        ("opt/**/tool", names[2:]),
        ("opt/a/bin/tool?", names[:2]),
    ):
        trusted = TrustedProgram(program_path=f"{watch.folder}/{mask}")
        found, _ = watch.seen(policy(trusted), *commands)
        assert {name for name in names if found[name]} == set(kept), mask
        results.append(f"{mask} left out {len(names) - len(kept)} of 3 programs")
    saw("Behavior_Detection.TrustedPrograms.ProgramPath", "; ".join(results))


@pytest.mark.root
@pytest.mark.setting("Behavior_Detection.TrustedPrograms.ApplyToDescendants")
def test_descendants_are_left_out_if_so_wished(
    watch: Watch, saw: Callable[[str, str], None]
) -> None:
    shell = str(watch.program("opt/shell", "sh"))
    inner, program = str(watch.program("opt/inner", "sh")), str(watch.program("opt/program"))
    # The daemon outlives its parent, so that init is its parent when it runs the program.
    script = f"{inner} -c '{program}; ({program} &) ; true'; {program}"
    command = [shell, "-c", script]
    results = {}
    for family in (False, True):
        trusted = TrustedProgram(program_path=shell, apply_to_descendants=family)
        results[family] = watch.seen(policy(trusted), command)
    assert results[False][0]["opt/shell"] == 0
    assert results[False][0]["opt/program"] >= 6
    assert results[False][0]["opt/inner"] >= 2
    for name in ("opt/shell", "opt/inner", "opt/program"):
        assert results[True][0][name] == 0
    saw(
        "Behavior_Detection.TrustedPrograms.ApplyToDescendants",
        f"programs below a trusted shell: No: {text(results[False], 'opt/program')}; "
        f"Yes: {text(results[True], 'opt/program')}",
    )


@pytest.mark.setting("Behavior_Detection.TrustedPrograms.ProgramDesc")
def test_note_of_an_entry_is_kept_for_people(saw: Callable[[str, str], None]) -> None:
    (shown,) = describe(behavior(BACKUP), use_mdr=False)
    assert shown == "/opt/*/bin/backup (nightly)"
    saw("Behavior_Detection.TrustedPrograms.ProgramDesc", f"the status shows it: {shown}")
