"""A resource set: a collector's settings without its identity, and the files that they name.

The text is TOML as in ``collector.toml``; what belongs to one service (name, service_id, tenant_id,
core) is added when the service gets it. Files that settings name without a leading ``/`` belong to
the set; others are on the service's host.
"""

from __future__ import annotations

import re
import tomllib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import tomli_w

from deodar.kit import settings as kit
from deodar.kit.errors import DeodarError
from deodar.siem.connectors.kata_edr_settings import KataEdrSettings
from deodar.siem.errors import SetProblem
from deodar.siem.settings import CollectorSettings, check_collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Set

LONGEST_TEXT = 256 << 10
_IDENTITY = ("name", "service_id", "tenant_id", "core", "set_version")
_FILE_KEYS = frozenset(("secret", "ca", "client_ca", "certificate", "authority", "file", "files"))
"""Keys of settings that name files, beside all that end in `_file`."""
_FILE_SUFFIX = "_file"
_FREE_KEYS = frozenset(("values", "headers"))
"""Keys of tables in which every key is the administrator's own."""
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_CONNECTOR = re.compile(r"^\[connector\][^\n]*\n", re.MULTILINE)
_KATA = "kata/edr"
_SECRET = "secret.pem"  # noqa: S105 - the name of a file


@dataclass(frozen=True)
class Identity:
    """What makes a set the settings of one service; `folder` is where its files will be."""

    name: str
    service_id: str
    tenant_id: str
    core_url: str
    version: int
    folder: str = ""


_NOBODY = Identity("check", str(uuid.UUID(int=0)), str(uuid.UUID(int=0)), "https://core:7210", 0)


def check(text: str, files: Set[str], *, where: str) -> CollectorSettings:
    """Return what a set's text means to a service that nobody has; `files` are the set's.

    Raises SetProblem that names the key, for settings that cannot be and for missing files.
    """
    settings = msgspec.convert(
        tomllib.loads(compose(text, _NOBODY, where=where)), CollectorSettings
    )
    for path, name in references(settings):
        if name.startswith("/"):
            continue
        if not _FILE_NAME.fullmatch(name):
            raise SetProblem(f"{where}: {path}: {name!r} is no plain name of a file of the set")
        if name not in files:
            raise SetProblem(
                f"{where}: {path}: the set has no file {name}; give it with --file {name}=PATH"
            )
    return settings


def compose(text: str, identity: Identity, *, where: str) -> str:
    """Return the text of a service's ``collector.toml``, checked; raises SetProblem."""
    values = {**_parsed(text, where), **_identity(identity)}
    try:
        settings = kit.parse(tomli_w.dumps(values), CollectorSettings, where=where)
        check_collector(settings, where=where)
    except DeodarError as error:
        raise SetProblem(str(error)) from error
    if identity.folder:
        values = _moved(values, identity.folder)
        values["connector"] = _moved(msgspec.to_builtins(settings.connector), identity.folder)
    return tomli_w.dumps(values)


def completed(text: str, *, where: str) -> str:
    """Return the text with a new external id, if it is for kata/edr and has none.

    Raises SetProblem.
    """
    connector = _parsed(text, where).get("connector", {})
    if not isinstance(connector, dict) or connector.get("kind", _KATA) != _KATA:
        return text
    if "external_id" in connector:
        return text
    line = f'external_id = "{uuid.uuid4()}"\n'
    found = _CONNECTOR.search(text)
    if found is None:
        raise SetProblem(f"{where}: connector: write it as a table, [connector], of its own")
    return text[: found.end()] + line + text[found.end() :]


def secret_file(settings: CollectorSettings) -> str:
    """Return the name of the file with what a kata/edr connector shows; "" for other kinds."""
    connector = settings.connector
    return connector.secret if isinstance(connector, KataEdrSettings) else ""


def external_id(settings: CollectorSettings) -> str:
    """Return the id that a kata/edr connector shows; "" for other kinds."""
    connector = settings.connector
    return connector.external_id if isinstance(connector, KataEdrSettings) else ""


def secret_named(text: str, *, where: str) -> str:
    """Return what `secret_file` will be of a text that is not checked yet; raises SetProblem."""
    connector = _parsed(text, where).get("connector", {})
    if not isinstance(connector, dict) or connector.get("kind", _KATA) != _KATA:
        return ""
    return str(connector.get("secret", _SECRET))


def references(settings: CollectorSettings) -> Iterator[tuple[str, str]]:
    """Yield (path of the key, name) of each file that settings name."""
    values = msgspec.to_builtins(settings)
    del values["core"]
    yield from _references(values, "")


def is_file_name(name: str) -> bool:
    """Whether a name can be that of a set's file."""
    return _FILE_NAME.fullmatch(name) is not None


def _references(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            below = f"{path}.{key}" if path else key
            if _names_file(key):
                yield from ((below, name) for name in _names(inner) if name)
            elif key not in _FREE_KEYS:
                yield from _references(inner, below)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _references(inner, f"{path}[{number}]")


def _moved(values: Any, folder: str) -> Any:
    """Return values in which each file of the set has its place below `folder`."""

    def place(name: str) -> str:
        return name if name.startswith("/") or not name else f"{folder}/{name}"

    return _mapped(values, place)


def _mapped(value: Any, place: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_mapped(inner, place) for inner in value]
    if not isinstance(value, dict):
        return value
    return {key: _mapped_at(key, inner, place) for key, inner in value.items()}


def _mapped_at(key: str, value: Any, place: Callable[[str], str]) -> Any:
    if key in _FREE_KEYS:
        return value
    return _placed(value, place) if _names_file(key) else _mapped(value, place)


def _placed(value: Any, place: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_placed(one, place) for one in value]
    return place(value) if isinstance(value, str) else value


def _names(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, str)]


def _names_file(key: str) -> bool:
    return key in _FILE_KEYS or key.endswith(_FILE_SUFFIX)


def _parsed(text: str, where: str) -> dict[str, Any]:
    if len(text) > LONGEST_TEXT:
        raise SetProblem(f"{where}: a set has at most {LONGEST_TEXT >> 10} KB of text")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetProblem(f"{where}: not valid TOML: {error}") from error
    for key in _IDENTITY:
        if key in values:
            raise SetProblem(f"{where}: {key}: leave it out; each service of the set gets its own")
    return values


def _identity(identity: Identity) -> dict[str, Any]:
    return {
        "name": identity.name,
        "service_id": identity.service_id,
        "tenant_id": identity.tenant_id,
        "set_version": identity.version,
        "core": {"url": identity.core_url},
    }
