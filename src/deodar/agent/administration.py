"""What administrators may ask of the agent and tell it: the commands behind the control socket.

The same commands work without a running agent, in the process of the command line, as far as they
need none: then there is neither a task manager nor a status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from deodar.agent import status as report
from deodar.agent.certificates import CertificateFacts, Certificates
from deodar.agent.control.errors import NotRunning
from deodar.agent.control.protocol import Stream
from deodar.agent.enrolled import SETTINGS as ENROLLED
from deodar.agent.journal.query import parse as parse_query
from deodar.agent.journal.record import as_dict
from deodar.agent.journal.store import EventStore, ReadOnlyStore
from deodar.agent.tasks.files import insecurity
from deodar.tasks.codes import Code
from deodar.tasks.declarations import KINDS, find_name
from deodar.tasks.errors import InsecurePath, InvalidSetting, TaskError
from deodar.tasks.ini import flat
from deodar.tasks.policy import to_wire
from deodar.tasks.schema import near_name, schema
from deodar.tasks.single import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from deodar.agent.control.conversation import Handler
    from deodar.agent.status import AgentStatus
    from deodar.agent.tasks.manager import TaskManager
    from deodar.agent.tasks.store import SettingsStore
    from deodar.kit.directory import StateDirectory

Arguments = dict[str, Any]

OFFLINE = frozenset(
    {
        "settings.get",
        "settings.set",
        "settings.default",
        "settings.export",
        "settings.import",
        "certificate.set",
        "certificate.remove",
        "certificate.show",
        "events.query",
        "policy.show",
    }
)
"""Commands that need no running agent."""


class Administration:
    """The commands; each takes its arguments as a dict and returns plain values."""

    def __init__(
        self,
        directory: StateDirectory,
        settings: SettingsStore,
        tasks: TaskManager | None,
        events: EventStore | ReadOnlyStore | None,
        status: Callable[[], AgentStatus] | None,
        certificates: Certificates,
        renew_certificate: Callable[[], None] | None = None,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._tasks = tasks
        self._events = events
        self._status = status
        self._certificates = certificates
        self._renew_certificate = renew_certificate

    def handlers(self) -> Mapping[str, Handler]:
        """Return every command by its name on the control socket."""
        return {
            "task.list": self._task_list,
            "task.state": self._task_state,
            "task.start": self._task_start,
            "task.stop": self._task_stop,
            "settings.get": self._settings_get,
            "settings.set": self._settings_set,
            "settings.default": self._settings_default,
            "settings.export": self._settings_export,
            "settings.import": self._settings_import,
            "certificate.set": self._certificate_set,
            "certificate.remove": self._certificate_remove,
            "certificate.show": self._certificate_show,
            "certificate.renew": self._certificate_renew,
            "events.query": self._events_query,
            "events.follow": self._events_follow,
            "status": self._status_now,
            "policy.show": self._policy_show,
        }

    # Tasks

    def _manager(self) -> TaskManager:
        if self._tasks is None:
            raise NotRunning(not_running(self._directory))
        return self._tasks

    def _task_list(self, _: Arguments) -> Any:
        return [msgspec.to_builtins(state) for state in self._manager().list()]

    def _task_state(self, given: Arguments) -> Any:
        return msgspec.to_builtins(self._manager().state(_text(given, "task")))

    def _task_start(self, given: Arguments) -> Any:
        return msgspec.to_builtins(self._manager().start(_text(given, "task")))

    def _task_stop(self, given: Arguments) -> Any:
        return msgspec.to_builtins(self._manager().stop(_text(given, "task")))

    # Settings

    def _settings_get(self, given: Arguments) -> Any:
        """Return {"task": name, "values": …}; with names, {"name": text} of those in "single"."""
        name = find_name(_text(given, "task"))
        values = self._settings.values(name)
        wanted = given.get("names") or []
        if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
            raise _wrong("names")
        return {"task": name, "values": values, "single": _single(name, values, wanted)}

    def _settings_set(self, given: Arguments) -> Any:
        name = find_name(_text(given, "task"))
        return msgspec.to_builtins(self._settings.change(name, _mapping(given)))

    def _settings_default(self, given: Arguments) -> Any:
        return msgspec.to_builtins(self._settings.reset(_text(given, "task")))

    def _settings_export(self, _: Arguments) -> Any:
        return self._settings.export()  # without the proxy's password: *** keeps what is there

    def _settings_import(self, given: Arguments) -> Any:
        return msgspec.to_builtins(self._settings.import_(_mapping(given)))

    def _policy_show(self, _: Arguments) -> Any:
        policy = self._settings.policy
        return None if policy is None else _hidden(to_wire(policy))

    # Certificates

    def _certificate_set(self, given: Arguments) -> Any:
        self._check_secure()
        facts = given.get("facts")
        try:
            known = None if facts is None else msgspec.convert(facts, CertificateFacts)
        except msgspec.ValidationError as error:
            raise _wrong("facts") from error
        taken = self._certificates.set(_text(given, "kind"), _text(given, "pem"), known)
        return msgspec.to_builtins(taken)

    def _certificate_remove(self, given: Arguments) -> Any:
        self._check_secure()
        return self._certificates.remove(_text(given, "kind"))

    def _certificate_show(self, given: Arguments) -> Any:
        found = self._certificates.describe(_text(given, "kind"))
        return None if found is None else msgspec.to_builtins(found)

    def _certificate_renew(self, _: Arguments) -> Any:
        if self._renew_certificate is None:
            raise NotRunning(not_running(self._directory))
        self._check_secure()
        self._renew_certificate()
        return True

    def _check_secure(self) -> None:
        problem = insecurity(self._directory.path)
        if problem:
            raise InsecurePath(f"{problem}; nothing is changed until that is mended")

    # Events

    def _events_query(self, given: Arguments) -> Iterator[Any]:
        query = parse_query(_text(given, "query", ""))
        last = given.get("last")
        if last is not None and (not isinstance(last, int) or last < 0):
            raise _wrong("last")
        if self._events is None:
            return iter(())
        found = self._events.select(query, last, reverse=given.get("reverse") is True)
        return (as_dict(record) for record in found)

    def _events_follow(self, given: Arguments) -> Stream:
        query = parse_query(_text(given, "query", ""))
        if not isinstance(self._events, EventStore) or self._tasks is None:
            raise NotRunning(not_running(self._directory))
        follower = self._events.follow(query)
        return Stream((as_dict(record) for record in follower), follower.close)

    def _status_now(self, _: Arguments) -> Any:
        if self._status is None:
            raise NotRunning(not_running(self._directory))
        return report.as_dict(self._status(), running=True)


def not_running(directory: StateDirectory) -> str:
    """Return the text for commands that need a running agent."""
    return f"no agent runs in {directory.path}; {how_to_start(directory)}"


def how_to_start(directory: StateDirectory) -> str:
    """Return what to do that an agent runs in a folder, as the end of a sentence."""
    start = (
        f"start it with: systemctl start deodar-agent, or: deodar agent run --dir {directory.path}"
    )
    if not directory.has(ENROLLED):
        return f"this host is not enrolled: first run deodar agent enroll TOKEN, then {start}"
    return f"{start}; why it ended is in: journalctl -u deodar-agent"


def _single(name: str, values: dict[str, Any], wanted: list[str]) -> list[list[str]]:
    """Return [name, text] of the wanted settings, which may be named by their last parts only."""
    every = flat(values)
    return [[found, text] for one in wanted for found, text in _named(name, one, every)]


def _named(name: str, wanted: str, every: list[tuple[str, str]]) -> list[tuple[str, str]]:
    low = wanted.casefold()
    found = [one for one in every if _is_meant(low, one[0].casefold())]
    kind = KINDS[name]
    if not found and low not in schema(kind):
        raise InvalidSetting(
            f"there is no such setting{near_name(wanted, kind)}", setting=printable(wanted[:200])
        )
    return found


def _is_meant(wanted: str, dotted: str) -> bool:
    return dotted == wanted or dotted.startswith(f"{wanted}.") or dotted.endswith(f".{wanted}")


def _hidden(policy: Any) -> Any:
    """Return a policy on the wire without the proxy's password."""
    from deodar.tasks.proxy import hide_password  # noqa: PLC0415 - for this command only

    if isinstance(policy, dict):
        return {
            key: hide_password(value)
            if key == "ProxyServer" and isinstance(value, str)
            else _hidden(value)
            for key, value in policy.items()
        }
    return policy


def _text(given: Arguments, name: str, default: str | None = None) -> str:
    value = given.get(name, default)
    if not isinstance(value, str):
        raise _wrong(name)
    return value


def _mapping(given: Arguments) -> dict[str, Any]:
    values = given.get("values")
    if not isinstance(values, dict):
        raise _wrong("values")
    return values


def _wrong(name: str) -> TaskError:
    return TaskError(f"the argument {name!r} is missing or not of the right kind", Code.SYNTAX)
