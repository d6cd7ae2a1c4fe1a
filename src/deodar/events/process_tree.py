"""The processes that live on a sample host, so that sample events agree with one another.

A child names its parent by the same ids, image and hashes that the parent's own start showed; what
ends was started before; system process numbers are given again, `UniquePid` never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from deodar.events import samples

if TYPE_CHECKING:
    from random import Random

    from deodar.events.samples import Program, User

_MAX_PID = 4_194_304
_MAX_ALIVE = 200


class Session(NamedTuple):
    """What processes have from the login or the service that led to them.

    `fields` is in every event, `kernel` only in the one that tells of a program's start; `remote`
    is where the login came from, "" if it was none over the network.
    """

    fields: dict[str, Any]
    kernel: dict[str, Any]
    remote: str = ""


class LiveProcess:
    """A process that runs on the sample host. `fields` is what every event about it carries."""

    __slots__ = (
        "children", "command", "fields", "parent", "pid", "program", "session", "started",
        "unique_pid", "user",
    )  # fmt: skip

    def __init__(
        self,
        pid: int,
        unique_pid: str,
        started: int,
        program: Program,
        command: str,
        user: User,
        parent: LiveProcess | None,
        session: Session,
    ) -> None:
        self.pid = pid
        self.unique_pid = unique_pid
        self.started = started
        self.program = program
        self.command = command
        self.user = user
        self.parent = parent
        self.session = session
        self.children = 0
        self.fields = {
            "SystemPid": pid,
            "UniquePid": unique_pid,
            "StartupParameters": command,
            **program.file.as_name,
            **session.fields,
            **program.file.as_facts,
        }

    @property
    def parent_ids(self) -> dict[str, Any]:
        """Return the fields that say which process is the parent."""
        parent = self.parent
        if parent is None:
            return {}
        return {"ParentSystemPid": parent.pid, "UniqueParentPid": parent.unique_pid}

    @property
    def of_parent(self) -> dict[str, Any]:
        """Return all fields that an agent sends of the parent."""
        parent = self.parent
        if parent is None:
            return {}
        file = parent.program.file
        return {
            "ParentSystemPid": parent.pid,
            "UniqueParentPid": parent.unique_pid,
            "ParentFileFullName": file.path,
            "ParentStartupParameters": parent.command,
            "ParentMd5": file.md5,
            "ParentSha256": file.sha256,
        }

    @property
    def of_start(self) -> dict[str, Any]:
        """Return what an agent sends only when the process starts a program."""
        session, file = self.session, self.program.file
        fields = {"FileAttributes": file.mode, **session.kernel, **file.as_inode}
        fields |= file.as_content
        if session.remote:
            fields["LogonRemoteHost"] = session.remote
        return fields

    def complete(self) -> dict[str, Any]:
        """Return every field that the vocabulary has for a process of a Linux host."""
        fields = self.fields | self.of_parent | self.of_start
        if self.parent is not None:
            file = self.parent.program.file
            fields |= {"ParentFileName": file.name, "ParentFilePath": file.folder}
        return fields | {
            "AccountType": 2 if self.user.uid else 1,
            "StartupParametersTruncated": 0,
            "Command": self.command.partition(" ")[0],
            "FileDeleted": 0,
            "LogonType": 10 if self.session.remote else 5,
            "Tty": self.fields.get("Tty", ""),
            "ContainerId": "",
            "ContainerName": "",
            "ContainerImage": "",
            "ContainerPid": 0,
        }


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
        return self._live(now, parent.program, parent.command, parent.user, parent, parent.session)

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
        return self._add(now, name, parent.user, parent, parent.session)

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
        session: Session,
    ) -> LiveProcess:
        program = samples.PROGRAMS[name]
        command = samples.command_line(self._rng, program)
        return self._live(now, program, command, user, parent, session)

    def _live(
        self,
        now: int,
        program: Program,
        command: str,
        user: User,
        parent: LiveProcess | None,
        session: Session,
    ) -> LiveProcess:
        pid, unique = self._pid(), samples.uuid_text(self._rng.getrandbits(128))
        return self._keep(LiveProcess(pid, unique, now, program, command, user, parent, session))

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


def system_session(user: User) -> Session:
    """Return the session of a process that no login led to."""
    where = {"WorkingDirectory": "/", "CgroupId": 2048 + user.uid}
    return Session(_account(user) | where, _ids(user))


def person_session(user: User, number: int, remote: str) -> Session:
    """Return the session of what a person's login from `remote` led to."""
    fields = _account(user) | {
        "LoginUid": user.uid,
        "LoginUserName": user.name,
        "LogonSessionId": number,
        "WorkingDirectory": f"/home/{user.name}",
        "Tty": f"pts/{number}",
        "CgroupId": 4096 + number,
    }
    return Session(fields, _ids(user), remote)


def _account(user: User) -> dict[str, Any]:
    return {
        "UserName": user.name,
        "EffectiveUserName": user.name,
        "EffectiveUid": user.uid,
        "RealUserName": user.name,
        "RealUid": user.uid,
        "Uid": user.uid,
    }


def _ids(user: User) -> dict[str, Any]:
    capabilities = {} if user.uid else {"Capabilities": "1ffffffffff"}
    return {
        "Gid": user.uid,
        "EffectiveGid": user.uid,
        **capabilities,
        "MountNamespace": 4026531841,
        "PidNamespace": 4026531836,
    }
