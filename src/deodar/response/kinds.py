"""The kinds of tasks that an agent can be given: parameters, rights, limits, how to undo them.

A kind is declared once, here; server, agent, commands and documentation read it. The actions are
those that KATA gives to KESL (get file, delete file, run process, terminate process, quarantine).
"""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from deodar.response.errors import OrderProblem

MB = 1 << 20
Path = Annotated[str, Meta(min_length=2, max_length=4096, pattern=r"^/[^\0]+$")]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Role = Literal["security_officer", "senior_security_officer"]
"""Who may give such a task, at least."""


class RunProcess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Run a program without a shell, as root, outside the agent's ceilings."""

    command: Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[^\0]+$")]
    """A path, or a name that is looked up in the system's folders of programs."""
    arguments: Annotated[str, Meta(max_length=32_768, pattern=r"^[^\0]*$")] = ""
    """Words in one text, quoted as a shell would have it; no shell sees them."""
    working_directory: Annotated[str, Meta(max_length=4096, pattern=r"^(/[^\0]*)?$")] = ""
    time_limit: Annotated[int, Meta(ge=1, le=3600)] = 300
    """Seconds; then the program and what it started are killed."""
    output_limit: Annotated[int, Meta(ge=0, le=262_144)] = 65_536
    """Bytes that are kept of each of standard output and error."""

    def words(self) -> list[str]:
        """Return the arguments one by one; raises OrderProblem when a quote is not closed."""
        try:
            return shlex.split(self.arguments)
        except ValueError as error:
            raise OrderProblem(f"arguments: {error}") from error


class GetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fetch a file to the server."""

    path: Path
    maximum_bytes: Annotated[int, Meta(ge=1, le=256 * MB)] = 64 * MB
    """A larger file is not fetched."""


class DeleteFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Delete a file, if it is still the one that is meant."""

    path: Path
    sha256: Sha256 | None = None


class KillProcess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """End a process; `unique_pid` guards against a process id that was used again."""

    pid: Annotated[int, Meta(ge=2, le=4_194_304)]
    unique_pid: Annotated[str, Meta(max_length=64)] = ""


class QuarantineFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Move a file to where nothing can run it."""

    path: Path
    sha256: Sha256 | None = None


Parameters = RunProcess | GetFile | DeleteFile | KillProcess | QuarantineFile


class Kind(msgspec.Struct, frozen=True):
    """One kind of task."""

    name: str
    title: str
    parameters: type[Parameters]
    role: Role
    undo: str
    """How to take it back, for people."""


_DECLARED = (
    Kind(
        "run_process", "Run a program", RunProcess, "senior_security_officer", "by another program"
    ),
    Kind("get_file", "Fetch a file", GetFile, "security_officer", "nothing is changed on the host"),
    Kind("delete_file", "Delete a file", DeleteFile, "senior_security_officer", "cannot be undone"),
    Kind("kill_process", "End a process", KillProcess, "senior_security_officer", "start it again"),
    Kind(
        "quarantine_file",
        "Quarantine a file",
        QuarantineFile,
        "senior_security_officer",
        "restore it from the quarantine",
    ),
)
KINDS = {kind.name: kind for kind in _DECLARED}


def find(name: str) -> Kind:
    """Return a kind by its name; raises OrderProblem."""
    if name not in KINDS:
        raise OrderProblem(f"no task is named '{name[:64]}'; there are: {', '.join(KINDS)}")
    return KINDS[name]


def check(name: str, parameters: Any) -> Parameters:
    """Return a task's parameters from JSON's values; raises OrderProblem that names the wrong."""
    kind = find(name)
    try:
        checked = msgspec.convert(parameters, kind.parameters)
    except msgspec.ValidationError as error:
        raise OrderProblem(f"{name}: {error}") from error
    if isinstance(checked, RunProcess):
        checked.words()
    return checked
