"""The reference page of the command line, made from the commands themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from deodar import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """\
# Command line

<!-- Made by `make docs` from the commands. -->

Every command that keeps or reads state takes `--dir DIR`, or the environment variable `DEODAR_DIR`.
Commands that print data take `--json`: one JSON object a line. A program that keeps running prints
one JSON line on standard output once it is ready, and its log, one JSON object a line, on standard
error.

| Exit code | Meaning |
|---|---|
| 0 | done |
| 1 | an error, told in one line on standard error |
| 2 | wrong usage, or a setting that cannot be used; wrong usage of `deodar agent …` is 1 |
| 3 | a state folder is missing, in use or damaged |
| 4 | `edr import`: done, but some lines became dead letters |
| 5 | `edr audit verify`: the audit trail is not as it was written |
| 130 | interrupted |

The commands `deodar agent task|settings|certificate|events|policy|status` end with KESL's codes
where they have one:

| Exit code | Meaning |
|---|---|
| 0 | done |
| 1 | a command, an argument or an option that is not written as it must be |
| 2 | a setting that cannot be used |
| 64 | the agent does not run |
| 65 | any other error, such as a task that needs another one first |
| 68 | refused: the server's policy holds the setting |
| 70 | wrong state: starting a started task, stopping a stopped one |
| 76 | refused: the folder or a file could be changed by somebody else than root |
"""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [HEAD]
    for name in cli.PROGRAMS:
        command = typer.main.get_command(cli.build([name]))
        parts += _sections(command.commands[name], f"deodar {name}")
    return "\n".join(parts)


def _sections(command: Any, name: str) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    if not inner or command.params:
        yield _section(command, name)
    for each in inner:
        yield from _sections(inner[each], f"{name} {each}")


def _section(command: Any, name: str) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([name, *(_argument(p) for p in arguments)])
    about = " ".join((command.help or "").split())
    rows = [_row(p) for p in command.params if not getattr(p, "hidden", False)]
    table = ["", "| Option | Meaning | Default |", "|---|---|---|", *rows] if rows else []
    return "\n".join([f"## `{usage}`", "", about, *table, ""])


def _row(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in parameter.opts)
    if parameter.param_type_name == "argument":
        names = f"`{_argument(parameter)}`"
    text = " ".join((getattr(parameter, "help", "") or "").split()).replace("|", "\\|")
    default = parameter.default
    shown = "" if default in (None, "", False, ()) or callable(default) else f"`{default}`"
    return f"| {names} | {text} | {'required' if parameter.required else shown} |"


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())
