"""The files that the settings of this host are in: ``settings/<Task>.ini`` and ``policy.json``.

Nothing here stops an agent: a damaged file counts as absent, is told as a problem, and is set aside
when it would be written over. A file or folder that others may write is told as a problem too;
nothing is changed there until that is mended.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import msgspec

from deodar.kit.errors import StateError
from deodar.tasks.declarations import KINDS
from deodar.tasks.errors import InsecurePath, InvalidSetting
from deodar.tasks.ini import from_ini, to_ini
from deodar.tasks.ini_tree import MAXIMUM_BYTES
from deodar.tasks.policy import Policy, from_wire, to_wire

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deodar.kit.directory import StateDirectory
    from deodar.tasks.settings import Values

FOLDER = "settings"
POLICY = "policy.json"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class SettingsFiles:
    """Reads and replaces the files; `problems` has a text for each that cannot be used."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._damaged: set[str] = set()
        self.problems: list[str] = []

    def load(self) -> dict[str, Values]:
        """Return what was set on this host, by task name; nothing for what was never set."""
        self.problems += [f"{text}; it is used as it is" for text in self._insecure()]
        return {name: self._load(name) for name in KINDS}

    def load_policy(self) -> Policy | None:
        """Return the policy that was in force last."""
        try:
            data = self._read(POLICY)
            return None if data is None else from_wire(msgspec.json.decode(data))
        except (StateError, InvalidSetting, msgspec.DecodeError, RecursionError) as error:
            self._damage(POLICY, f"{self._path(POLICY)} cannot be used: {error}")
            return None

    def is_damaged(self, name: str = "") -> bool:
        """Whether a task's file, or the policy's (""), could not be used and is still there."""
        return (_file(name) if name else POLICY) in self._damaged

    def save(self, values: Mapping[str, Values]) -> None:
        """Replace the files of the named tasks, all or none.

        Raises InsecurePath, or StateError when the disk refuses; all old files are then back.
        """
        self.check_secure()
        written: dict[str, bytes | None] = {}
        try:
            (self._directory.path / FOLDER).mkdir(mode=0o700, exist_ok=True)
            for name, partial in values.items():
                file = _file(name)
                self._set_aside(file)
                written[file] = self._read(file)
                self._write(file, to_ini(partial).encode() if partial else None)
        except (OSError, StateError) as error:
            self._restore(written)
            raise StateError(f"the settings were not changed: {error}") from error

    def save_policy(self, policy: Policy | None) -> None:
        """Replace or remove the policy's file. Raises InsecurePath or StateError."""
        self.check_secure()
        self._set_aside(POLICY)
        self._write(POLICY, None if policy is None else msgspec.json.encode(to_wire(policy)))

    def check_secure(self) -> None:
        """Raise InsecurePath when others may write a file or folder of the settings."""
        for problem in self._insecure():
            raise InsecurePath(f"{problem}; nothing is changed until that is mended")

    def _insecure(self) -> list[str]:
        folder = self._directory.path / FOLDER
        paths = [self._directory.path, folder, self._path(POLICY)]
        paths += [self._path(_file(name)) for name in KINDS]
        return [problem for path in paths if (problem := insecurity(path))]

    def _load(self, name: str) -> Values:
        file = _file(name)
        try:
            data = self._read(file)
            return {} if data is None else from_ini(data, KINDS[name], str(self._path(file)))
        except (StateError, InvalidSetting) as error:
            self._damage(file, f"{error}; {name} has its default settings")
            return {}

    def _read(self, file: str) -> bytes | None:
        """Return a file's content, or None when there is none; raises StateError."""
        try:
            with self._path(file).open("rb") as opened:
                return opened.read(MAXIMUM_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"cannot read {self._path(file)}: {error.strerror}") from error

    def _write(self, file: str, data: bytes | None) -> None:
        if data is not None:
            self._directory.write_secret(file, data)
            return
        try:
            self._path(file).unlink(missing_ok=True)
        except OSError as error:
            raise StateError(f"cannot remove {self._path(file)}: {error.strerror}") from error

    def _restore(self, written: Mapping[str, bytes | None]) -> None:
        for file, data in written.items():
            try:
                self._write(file, data)
            except StateError as error:
                self.problems.append(f"an old file of settings was not put back: {error}")

    def _damage(self, file: str, problem: str) -> None:
        self._damaged.add(file)
        self.problems.append(problem)

    def _set_aside(self, file: str) -> None:
        """Keep a damaged file under another name before it is written over."""
        if file in self._damaged and self._path(file).exists():
            try:
                self._path(file).replace(self._path(f"{file}.damaged"))
            except OSError as error:
                raise StateError(f"cannot rename {self._path(file)}: {error.strerror}") from error
        self._damaged.discard(file)

    def _path(self, file: str) -> Path:
        return self._directory.path / file


def insecurity(path: Path) -> str:
    """Return who else may write a file or folder; "" when nobody may or it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ""
    if found.st_uid not in {0, os.geteuid()}:
        return (
            f"{path} belongs to another account (user id {found.st_uid}) than root or the agent's"
        )
    if found.st_mode & _OTHERS_WRITE:
        return f"{path} may be written by others than its owner (chmod go-w {path})"
    return ""


def _file(name: str) -> str:
    return f"{FOLDER}/{name}.ini"
