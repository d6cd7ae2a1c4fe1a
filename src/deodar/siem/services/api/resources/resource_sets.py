"""Resource sets: settings that services are made of, with all versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Base64Bytes, Field

from deodar.siem.services import resource_set
from deodar.siem.services.api.access import ADMINISTRATOR, VIEWER, CoreOf
from deodar.siem.services.api.models import Asked, Told
from deodar.siem.services.api.problems import documented

router = APIRouter(prefix="/resource-sets", tags=["resource sets"])

Name = Annotated[str, Path(max_length=64, description="The set's name or id.")]
NAMED = documented(404, 409)


class Settings(Asked):
    """A version to be. A kata/edr connector without external id or certificate gets new ones."""

    settings: Annotated[str, Field(max_length=resource_set.LONGEST_TEXT)]
    """TOML as in ``collector.toml``, without what belongs to one service."""
    files: dict[str, Annotated[Base64Bytes, Field(strict=False)]] = {}  # noqa: RUF012 - pydantic copies it
    """Contents of files that the settings name, base64; those left out stay as they are."""
    note: Annotated[str, Field(max_length=256)] = ""


class Saved(Told):
    """What came of saving; for kata/edr with what the EDR server's administrator compares."""

    name: str
    version: int
    changed: bool
    external_id: str
    certificate_sha256: str


class ResourceSet(Told):
    """A set in a list; times are µs since the epoch."""

    id: str
    name: str
    version: int
    created_us: int
    changed_us: int
    services: list[str]
    """Names of the services that are made of it."""


class SetVersion(Told):
    """One version; `files` are names, each with an id that tells only whether it changed."""

    name: str
    version: int
    saved_us: int
    user: str
    note: str
    settings: str
    files: dict[str, str]


@router.get("", dependencies=VIEWER)
def list_resource_sets(core: CoreOf) -> list[ResourceSet]:
    """Return all sets by name."""
    return [ResourceSet.model_validate(row) for row in core.sets.all()]


@router.post("/check", status_code=204, dependencies=VIEWER)
def check_resource_set(wish: Settings) -> None:
    """Say whether settings could be a set, without saving them: 204, or 422 with the key."""
    where = "settings"
    text = resource_set.completed(wish.settings, where=where)
    named = resource_set.secret_named(text, where=where)
    resource_set.check(text, {*wish.files, named}, where=where)


@router.put("/{name}", dependencies=ADMINISTRATOR, responses=documented(409))
def save_resource_set(core: CoreOf, name: Name, wish: Settings) -> Saved:
    """Save a set's next version. Its services take it when they are reloaded or restarted."""
    saved = core.sets.save(name, wish.settings, wish.files, wish.note)
    return Saved.model_validate(saved)


@router.get("/{name}", dependencies=VIEWER, responses=documented(404))
def show_resource_set(
    core: CoreOf, name: Name, version: Annotated[int, Query(ge=0)] = 0
) -> SetVersion:
    """Return a version of a set, the newest by default."""
    return SetVersion.model_validate(core.sets.version(name, version))


@router.get("/{name}/versions", dependencies=VIEWER, responses=documented(404))
def list_versions(core: CoreOf, name: Name) -> list[SetVersion]:
    """Return the versions that are kept, the newest first."""
    return [SetVersion.model_validate(one) for one in core.sets.versions(name)]


@router.delete("/{name}", status_code=204, dependencies=ADMINISTRATOR, responses=NAMED)
def delete_resource_set(core: CoreOf, name: Name) -> None:
    """Forget a set with all versions and files; refused while services are made of it."""
    core.sets.delete(name)
