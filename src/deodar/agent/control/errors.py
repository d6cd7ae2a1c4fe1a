"""Errors of the control socket.

The tree::

    DeodarError
    └── ControlError         exit code 65: the socket cannot be opened, or an answer not understood
        ├── NotRunning       exit code 64: no agent runs in the folder
        └── ControlRefused   exit code as the agent says; 65 if it lets nobody like this user in

Exit codes are those of KESL; see `deodar.tasks.codes`.
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError


class ControlError(DeodarError):
    """The control socket does not do what it should."""

    exit_code = 65


class NotRunning(ControlError):  # noqa: N818 - a state of the host, not a fault
    """No agent runs in the folder."""

    exit_code = 64


class ControlRefused(ControlError):  # noqa: N818 - what the agent answered
    """The agent answered with an error; `code` is the exit code that it wants for it."""

    exit_code: int  # type: ignore[misc]  # of the instance: the agent says which

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = self.exit_code = code
