"""The settings of this host: the server's policy over what was set here over the defaults.

What is asked for is always whole and checked. What is changed is checked whole, written to the
disk, and then told to those who listen, in the order of the changes.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import msgspec

from deodar.agent.tasks.files import SettingsFiles
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger
from deodar.tasks.check import flatten, merge, nest, normal, parse, values_of
from deodar.tasks.declarations import APPLICATION, KINDS, find_name, kesl_task
from deodar.tasks.errors import PolicyRefused
from deodar.tasks.policy import check_policy, locked
from deodar.tasks.proxy import hide_password, restore_password

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deodar.kit.directory import StateDirectory
    from deodar.tasks.policy import Policy
    from deodar.tasks.settings import (
        ApplicationSettings,
        BehaviorDetectionSettings,
        KataEdrSettings,
        Settings,
        Values,
    )

    Listener = Callable[[str, list[str], str], None]

_PROXY = "ProxyServer"
_log = logger("agent.settings")


class Change(msgspec.Struct, frozen=True):
    """What a change came to: dotted names, with the task's before them in an import."""

    changed: list[str]
    ignored: list[str]


class SettingsStore:
    """All settings in force. For any thread; readers never wait."""

    def __init__(self, directory: StateDirectory) -> None:
        """Load what the folder has; what is damaged counts as not set (see `problems`)."""
        self.directory = directory
        """The agent's folder."""
        self._files = SettingsFiles(directory)
        self._listeners: list[Listener] = []
        self._changing = threading.RLock()
        self._local = self._files.load()
        self._policy = self._files.load_policy()
        self._effective = {name: self._of(name, self._local, self._policy) for name in KINDS}

    @property
    def problems(self) -> list[str]:
        """What was wrong with the files when they were loaded."""
        return list(self._files.problems)

    @property
    def policy(self) -> Policy | None:
        """The server's policy that is in force."""
        return self._policy

    @property
    def kataedr(self) -> KataEdrSettings:
        """The settings of the task KATAEDR."""
        return cast("KataEdrSettings", self._effective["KATAEDR"])

    @property
    def behavior(self) -> BehaviorDetectionSettings:
        """The settings of the task Behavior_Detection."""
        return cast("BehaviorDetectionSettings", self._effective["Behavior_Detection"])

    @property
    def application(self) -> ApplicationSettings:
        """The general settings."""
        return cast("ApplicationSettings", self._effective[APPLICATION])

    def of(self, name: str) -> Settings:
        """Return the settings in force of a task, or of APPLICATION. Raises UnknownTask."""
        return self._effective[find_name(name)]

    def values(self, name: str, *, secrets: bool = False) -> Values:
        """Return the same in KESL's shape; without `secrets` the proxy's password is ***."""
        values = values_of(self.of(name))
        if not secrets and _PROXY in values:
            values[_PROXY] = hide_password(values[_PROXY])
        return values

    def change(self, name: str, partial: Mapping[str, Any], *, initiator: str = "User") -> Change:
        """Set some settings of a task.

        Raises UnknownTask, InvalidSetting, PolicyRefused, InsecurePath, or StateError when the
        disk refuses; nothing is changed then.
        """
        name = find_name(name)
        with self._changing:
            local, ignored = self._changed(name, partial)
            return Change(self._take({name: local}, initiator)[name], ignored)

    def reset(self, name: str, *, initiator: str = "User") -> Change:
        """Give a task its default settings, but for those that the policy holds."""
        name = find_name(name)
        with self._changing:
            return Change(self._take({name: {}}, initiator)[name], [])

    def export(self, *, secrets: bool = False) -> dict[str, Values]:
        """Return all settings in force by task name."""
        return {name: self.values(name, secrets=secrets) for name in KINDS}

    def import_(self, everything: Mapping[str, Any], *, initiator: str = "User") -> Change:
        """Set settings of several tasks, all or none; raises as `change` does.

        Tasks that only KESL has are passed over and reported.
        """
        ignored: list[str] = []
        with self._changing:
            local: dict[str, Values] = {}
            for written, partial in everything.items():
                if kesl_task(written):
                    ignored.append(written)
                    continue
                name = find_name(written)
                local[name], passed_over = self._changed(name, partial, above=f"{name}.")
                ignored += [f"{name}.{one}" for one in passed_over]
            changed = self._take(local, initiator)
        return Change([f"{n}.{one}" for n, names in changed.items() for one in names], ignored)

    def apply_policy(self, policy: Policy | None) -> list[str]:
        """Put a policy into force, or none; return the dotted names of what changed by it.

        Raises InvalidSetting, and keeps the old one. A policy that cannot be written to the disk
        is in force until the agent ends; the server gives it again then.
        """
        if policy is not None:
            checked = check_policy(policy.settings)
            policy = msgspec.structs.replace(policy, settings=checked)
        with self._changing:
            effective = {name: self._of(name, self._local, policy) for name in KINDS}
            if policy != self._policy or self._files.is_damaged():
                self._keep(policy)
            self._policy = policy
            changed = self._swap(effective, "Policy")
        return [f"{name}.{one}" for name, names in changed.items() for one in names]

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with task name, dotted names and initiator after each change."""
        self._listeners.append(listener)

    def _keep(self, policy: Policy | None) -> None:
        try:
            self._files.save_policy(policy)
        except DeodarError as error:
            _log.warning("the policy could not be kept on the disk", error=str(error))

    def _changed(
        self, name: str, partial: Mapping[str, Any], *, above: str = ""
    ) -> tuple[Values, list[str]]:
        """Return what is set on this host once the partial settings are, and ignored names."""
        given, ignored = normal(KINDS[name], partial, edit=True)
        base = values_of(self._of(name, self._local, None))
        present = values_of(self._effective[name])
        if _PROXY in given:
            given[_PROXY] = restore_password(given[_PROXY], present[_PROXY])
        whole = values_of(parse(KINDS[name], merge(base, given))[0])
        wanted, held = flatten(whole), locked(self._policy, name)
        touched = set(flatten(given))
        refused = self._refused(present, given, touched & held, KINDS[name])
        if refused:
            names = ", ".join(f"{above}{one}" for one in sorted(refused))
            version = self._policy.version if self._policy else 0
            raise PolicyRefused(
                f"the server's policy (version {version}) holds {names}; "
                "see: deodar agent policy; it is changed on the EDR server"
            )
        kept = set(flatten(self._local[name])) | (touched - held)
        return nest({one: value for one, value in wanted.items() if one in kept}), ignored

    def _refused(
        self, present: Values, given: Values, names: set[str], kind: type[Settings]
    ) -> set[str]:
        """Return the locked names that would not stay as they are."""
        if not names:
            return set()
        after = flatten(values_of(parse(kind, merge(present, given))[0]))
        before = flatten(present)
        return {name for name in names if after.get(name) != before.get(name)}

    def _take(self, local: Mapping[str, Values], initiator: str) -> dict[str, list[str]]:
        """Write what is set on this host, put it into force, and tell who listens."""
        together = self._local | dict(local)
        effective = {name: self._of(name, together, self._policy) for name in local}
        if any(together[n] != self._local[n] or self._files.is_damaged(n) for n in local):
            self._files.save(local)
        self._local = together
        return self._swap(effective, initiator)

    def _swap(self, effective: Mapping[str, Settings], initiator: str) -> dict[str, list[str]]:
        changed = {n: _differences(self._effective[n], now) for n, now in effective.items()}
        self._effective = self._effective | dict(effective)
        for name, names in changed.items():
            if names:
                self._tell(name, names, initiator)
        return changed

    def _tell(self, name: str, names: list[str], initiator: str) -> None:
        for listener in self._listeners:
            try:
                listener(name, names, initiator)
            except Exception as error:  # noqa: BLE001 - the others have to hear of it too
                _log.warning("a changed setting was not followed", task=name, error=str(error))

    def _of(self, name: str, local: Mapping[str, Values], policy: Policy | None) -> Settings:
        held = policy.settings.get(name, {}) if policy else {}
        return parse(KINDS[name], merge(local[name], held))[0]


def _differences(before: Settings, after: Settings) -> list[str]:
    old, new = flatten(values_of(before)), flatten(values_of(after))
    return [name for name, value in new.items() if old.get(name) != value]
