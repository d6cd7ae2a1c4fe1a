"""Errors of tasks and their settings.

The tree::

    DeodarError
    └── TaskError              exit_code of the instance; 65 if nothing else is said
        ├── UnknownTask        65: there is no task of that number or name
        ├── WrongState         70: started, and was to be started; or the other way round
        ├── NotStarted         65: the task cannot be started: a requirement, or no such function
        ├── PolicyRefused      68: a policy of the server holds the setting
        ├── InvalidSetting      2: a name, a value, or a file of settings cannot be used
        └── InsecurePath       76: others may write where settings are kept

The codes are those of KESL; see `deodar.tasks.codes`.
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError
from deodar.tasks.codes import Code


class TaskError(DeodarError):
    """A command about a task or a setting cannot be done."""

    exit_code: int  # type: ignore[misc]  # of the instance: one class tells several codes

    def __init__(self, message: str, code: Code = Code.OTHER) -> None:
        super().__init__(message)
        self.exit_code = int(code)


class UnknownTask(TaskError):  # noqa: N818
    """There is no task of that number or name."""


class WrongState(TaskError):  # noqa: N818
    """The task is already in the state that was asked for, or is changing."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Code.STATE)


class NotStarted(TaskError):  # noqa: N818
    """A task that it requires is stopped, or Deodar has no such function."""


class PolicyRefused(TaskError):  # noqa: N818
    """A policy of the server holds the setting; it cannot be changed on the host."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Code.POLICY)


class InvalidSetting(TaskError):  # noqa: N818
    """A setting's name or value cannot be used; `reason` is the text without place and name."""

    def __init__(
        self, reason: str, *, where: str = "", line: int = 0, setting: str = "", value: str = ""
    ) -> None:
        place = f"{where}, line {line}" if where and line else where or (line and f"line {line}")
        told = f"{setting}={value}" if setting and value else setting
        super().__init__(": ".join(str(p) for p in (place, told, reason) if p), Code.SETTINGS)
        self.reason = reason
        self.where = where
        self.line = line
        self.setting = setting
        self.value = value

    def under(self, task: str) -> InvalidSetting:
        """Return the same with the task's name before the setting's."""
        name = f"{task}.{self.setting}" if self.setting else task
        return InvalidSetting(
            self.reason, where=self.where, line=self.line, setting=name, value=self.value
        )


class InsecurePath(TaskError):  # noqa: N818
    """A file or folder of settings may be written by someone other than root or its owner."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Code.INSECURE_PATH)
