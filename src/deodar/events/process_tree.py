"""The processes that live on a sample host, so that sample events agree with one another.

A child names its parent by the same ids, image and hashes that the parent's own start showed; what
ends was started before; system process numbers are given again, `UniquePid` never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deodar.events import samples

if TYPE_CHECKING:
    from random import Random

    from deodar.events.samples import Program, User

_MAX_PID = 4_194_304
_MAX_ALIVE = 200


class LiveProcess:
    """A process that runs on the sample host. `fields` is what every event about it carries."""

    __slots__ = ("children", "command", "fields", "parent", "pid", "program", "started", "user")

    def __init__(
        self,
        pid: int,
        started: int,
        program: Program,
        command: str,
        user: User,
        parent: LiveProcess | None,
        session: dict[str, Any],
    ) -> None:
        self.pid = pid
        self.started = started
        self.program = program
        self.command = command
        self.user = user
        self.parent = parent
        self.children = 0
        self.fields = self._own() | program.file.as_linux_image | self._of_parent() | session

    @property
    def unique_pid(self) -> str:
        """Return the identifier that no other process of the host ever has."""
        return f"{self.pid}-{self.started}"

    def _own(self) -> dict[str, Any]:
        return {
            "UserName": self.user.name,
            "AccountType": 2 if self.user.uid else 1,
            "SystemPid": self.pid,
            "UniquePid": self.unique_pid,
            "StartupParameters": self.command,
            "StartupParametersTruncated": 0,
            "Command": self.command.partition(" ")[0],
        }

    def _of_parent(self) -> dict[str, Any]:
        parent = self.parent
        if parent is None:
            return {"ParentSystemPid": 0}
        return {
            "UniqueParentPid": parent.unique_pid,
            "ParentSystemPid": parent.pid,
            "ParentStartupParameters": parent.command,
        } | parent.program.file.as_parent


class ProcessTree:
    """The live processes of one sample host, from its first one on."""

    def __init__(self, rng: Random, now: int) -> None:
        self._rng = rng
        self._next_pid = 1
        self._alive: list[LiveProcess] = []
        self._shells: list[LiveProcess] = []
        init = self._add(now, "systemd", samples.ROOT, None, system_session(samples.ROOT))
        self._roots = {init.pid}
        for name, user in (
            ("sshd", samples.ROOT),
            ("cron", samples.ROOT),
            ("nginx", samples.DAEMONS[0]),
            ("postgres", samples.DAEMONS[1]),
        ):
            self._roots.add(self._add(now, name, user, init, system_session(user)).pid)
        for user in samples.PEOPLE:
            self._log_on(now, user)

    def __len__(self) -> int:
        return len(self._alive)

    @property
    def full(self) -> bool:
        """Return whether a process should end before another one starts."""
        return len(self._alive) >= _MAX_ALIVE

    def any(self) -> LiveProcess:
        """Return one of the live processes."""
        return self._rng.choice(self._alive)

    def shell(self) -> LiveProcess:
        """Return one of the users' shells, which never end."""
        return self._rng.choice(self._shells)

    def start(self, now: int) -> LiveProcess:
        """Start a program from one of the live processes at the time `now` (µs) and return it."""
        parent = self._parent()
        name = self._rng.choice(parent.program.starts)
        return self._child(now, name, parent)

    def fork(self, now: int) -> LiveProcess:
        """Return a new process that goes on running its parent's program."""
        self._make_room()
        parent = self._parent()
        child = LiveProcess(
            self._pid(), now, parent.program, parent.command, parent.user, parent, _session(parent)
        )
        return self._keep(child)

    def end(self, now: int) -> LiveProcess:
        """End a process that has no children; it is started first where there is none."""
        for _ in range(8):
            index = self._rng.randrange(len(self._alive))
            if self._may_end(self._alive[index]):
                return self._remove(index)
        index = next((i for i, p in enumerate(self._alive) if self._may_end(p)), -1)
        if index < 0:
            self.start(now)
        return self._remove(index)

    def _may_end(self, process: LiveProcess) -> bool:
        return not process.children and process.pid not in self._roots

    def _remove(self, index: int) -> LiveProcess:
        self._alive[index], self._alive[-1] = self._alive[-1], self._alive[index]
        process = self._alive.pop()
        if process.parent is not None:
            process.parent.children -= 1
        return process

    def _make_room(self) -> None:
        while self.full:
            self.end(0)

    def _parent(self) -> LiveProcess:
        """Return a process that starts others: usually a shell, else any that may."""
        if self._rng.random() < 0.5:
            return self.shell()
        process = self.any()
        return process if process.program.starts else self.shell()

    def _child(self, now: int, name: str, parent: LiveProcess) -> LiveProcess:
        self._make_room()
        if parent.pid in self._roots and not parent.user.uid and name == "dash":
            return self._add(now, name, samples.ROOT, parent, system_session(samples.ROOT))
        return self._add(now, name, parent.user, parent, _session(parent))

    def _log_on(self, now: int, user: User) -> None:
        sshd = next(p for p in self._alive if p.program.file.name == "sshd")
        number = len(self._alive)
        session = person_session(user, number, samples.REMOTES[number % len(samples.REMOTES)][0])
        shell = self._add(now, "bash", user, sshd, session)
        self._roots.add(shell.pid)
        self._shells.append(shell)

    def _add(
        self,
        now: int,
        name: str,
        user: User,
        parent: LiveProcess | None,
        session: dict[str, Any],
    ) -> LiveProcess:
        program = samples.PROGRAMS[name]
        command = samples.command_line(self._rng, program)
        return self._keep(LiveProcess(self._pid(), now, program, command, user, parent, session))

    def _keep(self, process: LiveProcess) -> LiveProcess:
        if process.parent is not None:
            process.parent.children += 1
        self._alive.append(process)
        return process

    def _pid(self) -> int:
        pid = self._next_pid
        step = 1 if pid < 300 else self._rng.randrange(1, 4)
        self._next_pid = pid + step if pid + step < _MAX_PID else 300
        return pid


def system_session(user: User) -> dict[str, Any]:
    """Return the session fields of a process that no login led to."""
    return _ids(user) | {
        "WorkingDirectory": "/",
        "Tty": "",
        "ContainerId": "",
        "LogonType": 5,
        "CgroupId": 2048 + user.uid,
    }


def person_session(user: User, number: int, remote: str) -> dict[str, Any]:
    """Return the session fields of what a person's login from `remote` led to."""
    return _ids(user) | {
        "WorkingDirectory": f"/home/{user.name}",
        "Tty": f"pts/{number}",
        "ContainerId": "",
        "LogonType": 10,
        "LogonSessionId": number,
        "LogonRemoteHost": remote,
        "LoginUid": user.uid,
        "LoginUserName": user.name,
        "CgroupId": 4096 + number,
    }


def _session(process: LiveProcess) -> dict[str, Any]:
    return {k: v for k, v in process.fields.items() if k in _SESSION_FIELDS}


def _ids(user: User) -> dict[str, Any]:
    return {
        "RealUserName": user.name,
        "RealUid": user.uid,
        "EffectiveUserName": user.name,
        "Uid": user.uid,
        "EffectiveUid": user.uid,
        "Gid": user.uid,
        "EffectiveGid": user.uid,
        "Capabilities": "0" if user.uid else "1ffffffffff",
        "MountNamespace": 4026531841,
        "PidNamespace": 4026531836,
    }


_SESSION_FIELDS = frozenset({*system_session(samples.ROOT), *person_session(samples.ROOT, 0, "")})
