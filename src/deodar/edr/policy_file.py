"""A policy as a file: INI in the form of an agent's export, or JSON; and back.

What a policy does not name stays as each host has it, so a file holds only what shall be the same
everywhere. Names of KESL that have no function here are passed over and told.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.tasks.check import flatten
from deodar.tasks.declarations import APPLICATION, KINDS
from deodar.tasks.exports import all_from_ini, all_from_json
from deodar.tasks.policy import check_policy
from deodar.tasks.proxy import hide_password, restore_password

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deodar.edr.policies import Settings

LARGEST = 1 << 20
"""Bytes that a file may have; `deodar.tasks` refuses a larger one."""
_PROXY = "ProxyServer"


def read(data: bytes, where: str, present: Settings | None = None) -> tuple[Settings, list[str]]:
    """Return a file's settings by task, checked, and the names that were passed over.

    ``***`` in place of the proxy's password stands for the one in `present`. Raises
    InvalidSetting, which names the line of INI text.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    is_json = data.lstrip().startswith(b"{")
    given = all_from_json(_unwrapped(data), where) if is_json else all_from_ini(data, where)
    known = {task: values for task, values in given.items() if task in KINDS}
    checked = check_policy(_with_password(known, present or {}), where)
    kept = set(flatten(checked))
    foreign = [task for task in given if task not in KINDS]
    return checked, foreign + [name for name in flatten(known) if name not in kept]


def without_secrets(settings: Settings) -> Settings:
    """Return settings with *** for the proxy's password."""
    return _with_proxy(settings, hide_password)


def _with_password(settings: Settings, present: Settings) -> Settings:
    known = str(present.get(APPLICATION, {}).get(_PROXY, ""))
    return _with_proxy(settings, lambda text: restore_password(text, known))


def _with_proxy(settings: Settings, change: Any) -> Settings:
    application: Mapping[str, Any] = settings.get(APPLICATION, {})
    if _PROXY not in application:
        return settings
    return settings | {APPLICATION: {**application, _PROXY: change(application[_PROXY])}}


def _unwrapped(data: bytes) -> bytes:
    """Return the settings in what `deodar edr policy show --json` printed, else the same."""
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return data  # told by who reads it
    inner = found.get("settings") if isinstance(found, dict) else None
    return data if inner is None else msgspec.json.encode(inner)
