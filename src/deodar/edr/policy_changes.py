"""What a change of a policy changed, for the audit trail: settings before and after, no secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from deodar.edr.policy_file import without_secrets
from deodar.tasks.ini import flat

if TYPE_CHECKING:
    from deodar.edr.policies import Settings

_MISSING = object()


def differences(before: Settings | None, after: Settings | None) -> tuple[str, str]:
    """Return as JSON the settings that differ, as they were and as they are."""
    old, new = _flat(before), _flat(after)
    names = [name for name in {**old, **new} if old.get(name, _MISSING) != new.get(name, _MISSING)]
    shown = _flat(_shown(before)), _flat(_shown(after))
    was, now = ({name: side[name] for name in names if name in side} for side in shown)
    return _json(was), _json(now)


def _flat(settings: Settings | None) -> dict[str, Any]:
    return dict(flat(settings or {}))


def _shown(settings: Settings | None) -> Settings | None:
    return None if settings is None else without_secrets(settings)


def _json(values: dict[str, Any]) -> str:
    return msgspec.json.encode(values).decode() if values else ""
