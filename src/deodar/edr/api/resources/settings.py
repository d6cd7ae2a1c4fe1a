"""Settings that hold within a second, on every server with this database."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from deodar.edr.api.access import requires
from deodar.edr.api.models import Asked, Told
from deodar.edr.api.problems import documented
from deodar.edr.api.services import Services, ServicesOf
from deodar.edr.live_settings import SettingsStore
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/settings", tags=["server"])

Name = Annotated[str, Path(max_length=128, description="Such as events_api.max_events.")]
Value = bool | int | float | Annotated[str, Field(max_length=1000)]


class Setting(Told):
    """One setting."""

    name: str
    value: Value
    """What holds."""
    file_value: Value
    """What edr.toml says."""
    changed_us: int
    """When it was changed; 0 for never."""
    user: str
    """Who changed it."""


class Change(Asked):
    """What a setting shall be."""

    value: Value


@router.get("", dependencies=[requires(Role.AUDITOR)])
def list_settings(services: ServicesOf) -> list[Setting]:
    """Return every setting that can be changed so."""
    return [Setting.model_validate(setting) for setting in _store(services).list()]


@router.get("/{name}", dependencies=[requires(Role.AUDITOR)], responses=documented(404))
def show_setting(services: ServicesOf, name: Name) -> Setting:
    """Return one setting."""
    return Setting.model_validate(_store(services).get(name))


@router.put("/{name}", dependencies=[requires(Role.ADMINISTRATOR)], responses=documented(404))
def change_setting(services: ServicesOf, name: Name, change: Change) -> Setting:
    """Change a setting."""
    return Setting.model_validate(_store(services).set(name, change.value))


@router.post(
    "/{name}/reset", dependencies=[requires(Role.ADMINISTRATOR)], responses=documented(404)
)
def reset_setting(services: ServicesOf, name: Name) -> Setting:
    """Let the value of edr.toml hold again."""
    return Setting.model_validate(_store(services).reset(name))


def _store(services: Services) -> SettingsStore:
    return SettingsStore(services.database, services.installation.settings)
