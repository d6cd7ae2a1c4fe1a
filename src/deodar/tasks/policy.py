"""The policy that an EDR server gives its agents: settings that stand above those of the host.

A policy holds any part of the settings. What it names is locked on the host; a list, such as the
servers, is locked as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from deodar.tasks.check import flatten, normal
from deodar.tasks.declarations import KINDS, find_name
from deodar.tasks.errors import InvalidSetting, UnknownTask
from deodar.tasks.proxy import has_hidden_password

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deodar.tasks.settings import Values


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a policy; `settings` are partial, by task name or ``Application``."""

    version: Annotated[int, Meta(ge=1)]
    name: Annotated[str, Meta(min_length=1, max_length=200)] = "default"
    settings: dict[str, dict[str, Any]] = {}


def from_wire(data: Any) -> Policy:
    """Return a policy from decoded JSON, checked. Raises InvalidSetting."""
    try:
        policy = msgspec.convert(data, Policy)
    except msgspec.ValidationError as error:
        raise InvalidSetting(str(error), where="policy") from None
    return msgspec.structs.replace(policy, settings=check_policy(policy.settings))


def check_policy(values: Mapping[str, Any], where: str = "policy") -> dict[str, Values]:
    """Return a policy's settings with proper names and types; ignored names are left out.

    Raises InvalidSetting.
    """
    settings: dict[str, Values] = {}
    for written, partial in values.items():
        name = _known(written, where)
        if name in settings:
            raise InvalidSetting(f"{name} is given twice", where=where)
        settings[name] = _checked(name, partial, where)
    return settings


def locked(policy: Policy | None, task: str) -> set[str]:
    """Return the dotted names of a task's settings that the policy holds."""
    return set(flatten(policy.settings.get(task, {}))) if policy else set()


def _known(written: str, where: str) -> str:
    try:
        return find_name(written)
    except UnknownTask as error:
        raise InvalidSetting(str(error), where=where) from None


def _checked(name: str, partial: Any, where: str) -> Values:
    try:
        checked, _ = normal(KINDS[name], partial, where)
    except InvalidSetting as error:
        raise error.under(name) from None
    if has_hidden_password(checked.get("ProxyServer", "")):
        reason = "a policy needs the password itself"
        raise InvalidSetting(reason, where=where, setting=f"{name}.ProxyServer")
    return checked


def to_wire(policy: Policy) -> dict[str, Any]:
    """Return what `from_wire` takes back."""
    return {"version": policy.version, "name": policy.name, "settings": policy.settings}
