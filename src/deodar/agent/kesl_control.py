"""For people who come from KESL: each command of ``kesl-control`` beside ours.

Left out are commands about functions that Deodar has not at all: scanning, updates, licences, the
firewall, containers.
"""

from __future__ import annotations

from typing import NamedTuple


class Pair(NamedTuple):
    """One command of theirs; `ours` is "" when there is none."""

    theirs: str
    ours: str
    note: str = ""


COMMANDS = (
    Pair("--get-task-list [--json]", "task list [--json]"),
    Pair("--get-task-state <id/name> [--json]", "task state KATAEDR [--json]"),
    Pair(
        "--start-task <id/name> [-W] [--progress]",
        "task start KATAEDR",
        "the task's events as they come: `events --follow --query \"TaskId == '24'\"`",
    ),
    Pair("--stop-task <id/name> [-W]", "task stop KATAEDR"),
    Pair(
        "--create-task, --delete-task, --suspend-task, --resume-task",
        "",
        "for tasks that scan and update; there are only the predefined ones here",
    ),
    Pair("--get-schedule, --set-schedule", "", "tasks run from the start of the agent on"),
    Pair(
        "--get-settings <id/name> [--file F] [--json]",
        "task settings get KATAEDR [--file F] [--json]",
    ),
    Pair(
        "--get-settings <id/name> <setting> …",
        "task settings get KATAEDR EnableTelemetry",
        "prints `Name=Value`, with the section before the name",
    ),
    Pair(
        "--set-settings <id/name> Name=Value …",
        "task settings set KATAEDR SynchronizationPeriod=10",
        "all or none; what the server's policy holds is refused with code 68",
    ),
    Pair(
        "--set-settings <id/name> --file F [--json]",
        "task settings set KATAEDR --file F [--json]",
    ),
    Pair("--set-settings <id/name> --set-to-default", "task settings set KATAEDR --default"),
    Pair(
        "--set-settings <id/name> --add-exclusion <path>",
        "task settings set Behavior_Detection UseTrustedPrograms=Yes "
        "TrustedPrograms.item_0000.ProgramPath=/opt/x",
        "the list's next number adds one",
    ),
    Pair(
        "--set-settings <id/name> --del-exclusion <path>",
        "task settings set Behavior_Detection TrustedPrograms.item_0000=",
        "by its number in the list",
    ),
    Pair("--get-app-settings [--file F] [--json]", "settings get [--file F] [--json]"),
    Pair("--set-app-settings Name=Value …", "settings set UseProxy=No"),
    Pair("--set-app-settings --file F [--json]", "settings set --file F [--json]"),
    Pair(
        "--export-settings [--file F] [--json]",
        "settings export [--file F] [--json]",
        "the proxy's password is `***`; an import of that keeps the present one",
    ),
    Pair("--import-settings --file F [--json]", "settings import --file F [--json]"),
    Pair("--add-kataedr-server-certificate <file>", "certificate server add F", "PEM or DER"),
    Pair("--remove-kataedr-server-certificate", "certificate server remove"),
    Pair("--query-kataedr-server-certificate", "certificate server show [--json]"),
    Pair(
        "--add-kataedr-client-certificate <file>",
        "certificate client add F",
        "PFX, or PEM with the key; the password is asked for, or `--password-file`",
    ),
    Pair("--remove-kataedr-client-certificate", "certificate client remove"),
    Pair("--query-kataedr-client-certificate", "certificate client show [--json]"),
    Pair("-E", "events"),
    Pair(
        '-E --query "<filter>" [--db F] [-n N] [--file F] [--json] [--reverse]',
        "events --query \"EventType == 'TaskStateChanged'\" [--db F] [-n 10] [--file F] [--json] "
        "[--reverse]",
        "the same filters; our event types are in [agent-events.md](agent-events.md)",
    ),
    Pair(
        '-W [--query "<filter>"]',
        "events --follow [--query \"TaskId == '24'\"] [--json]",
        "until Ctrl-C",
    ),
    Pair(
        "--app-info [--json]",
        "status [--json]",
        "also sensors, queue, spool, losses, certificates; 0 when it runs, 64 when not",
    ),
    Pair(
        "--get-prevention-state [--kata] [--edro]",
        "",
        "execution prevention is not part of this release",
    ),
    Pair("--isolation-stat, --isolation-off", "", "network isolation is not part of this release"),
    Pair(
        "--get-blocked-hosts, --allow-hosts <addr>",
        "",
        "hosts that KESL's own protection has blocked; nothing here blocks any",
    ),
)

HEAD = """\
# From kesl-control to deodar agent

<!-- Made by `make docs` from deodar.agent.kesl_control. -->

Commands of KESL's `kesl-control` and what does the same here. Prefixes such as `-T` and `-R` are
left out. Task numbers, names of settings, the INI form and exit codes are KESL's; see
[agent-settings.md](agent-settings.md). Output is never translated, and `--json` is everywhere.

| `kesl-control …` | `deodar agent …` | Note |
|---|---|---|
"""


def page() -> str:
    """Return the whole page as Markdown."""
    rows = (
        f"| `{pair.theirs}` | {f'`{pair.ours}`' if pair.ours else '—'} | {pair.note} |\n"
        for pair in COMMANDS
    )
    return HEAD + "".join(row.replace("<id/name>", "ID") for row in rows) + _codes()


def _codes() -> str:
    from deodar.tasks.codes import Code  # noqa: PLC0415

    listed = ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in Code)
    return f"\nExit codes of these commands: {listed}.\n"
