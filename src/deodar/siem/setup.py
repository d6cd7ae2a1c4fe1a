"""Setting up a SIEM's state folder and its collectors: keys, certificates, settings files.

The SIEM has an authority of its own. It issues the core's certificate and one for each collector;
the certificate that a collector shows to an EDR server is signed by itself, as external systems'
are.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.kit import settings as files
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import SettingsError, StateError
from deodar.siem.collector.home import SETTINGS, collector_folder
from deodar.siem.connectors import registry
from deodar.siem.connectors.kata_edr_settings import KataEdrSettings, check
from deodar.siem.normalizers.registry import open_normalizer
from deodar.siem.services.local import issue_for_core
from deodar.siem.settings import CollectorSettings, CoreLink, SiemSettings, load_siem
from deodar.tls.certificates import (
    Pair,
    fingerprint,
    issue_server,
    load_certificates,
    make_authority,
    self_signed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from deodar.siem.connectors.base import ConnectorSettings

SIEM_SETTINGS = "siem.toml"
PORT, REST_PORT = 7210, 7223
_CORE_COMMENT = "Deodar SIEM core. Empty `store`: embedded, in this folder."
_COLLECTOR_COMMENT = (
    "One Deodar collector. A changed URL or external_id makes the EDR server begin anew, with the\n"
    "history that it still holds. max_events and max_timeout (seconds): 0 for the server's own\n"
    "value; client_timeout: 0 for 1800 seconds."
)


_OTHER_COMMENT = "One Deodar collector. docs/reference/connectors.md has the settings of connector."


@dataclass(frozen=True)
class Source:
    """What is known of an EDR server when a collector for it is made; timeouts in seconds."""

    urls: tuple[str, ...]
    pins: tuple[str, ...] = ()
    ca: Path | None = None
    insecure: bool = False
    max_events: int = 0
    max_timeout: float = 0.0
    client_timeout: float = 0.0
    filter: str = ""


class MadeCollector(msgspec.Struct, frozen=True):
    """What the EDR server's administrator must see again when accepting the collector."""

    name: str
    external_id: str
    certificate_sha256: str
    folder: str


def init_siem(
    path: Path, host: str, port: int, store: str, rest_port: int | None = None
) -> StateDirectory:
    """Make a SIEM's folder: authority, core certificate, settings; returns it.

    The REST API's port is 7223 beside the default port, any free one beside others.

    Raises StateError when there is a SIEM in it already.
    """
    home = StateDirectory.create(path)
    if home.has(SIEM_SETTINGS):
        raise StateError(
            f"there is a SIEM in {path} already ({SIEM_SETTINGS}); nothing was changed"
        )
    if rest_port is None:
        rest_port = REST_PORT if port == PORT else 0
    authority = make_authority("Deodar SIEM authority")
    home.write_secret("authority.key", authority.key)
    home.write("authority.pem", authority.certificate)
    names = list(dict.fromkeys([_own_name(host), "localhost", "127.0.0.1", "::1"]))
    home.write_secret("core.pem", issue_server(authority, names).pem)
    settings = SiemSettings(
        tenant_id=str(uuid.uuid4()), host=host, port=port, rest_port=rest_port, store=store
    )
    # It may come to hold the password of a store.
    home.write_secret(SIEM_SETTINGS, files.dump(settings, comment=_CORE_COMMENT).encode())
    return home


def _own_name(host: str) -> str:
    return socket.gethostname() if host in ("", "0.0.0.0", "::") else host  # noqa: S104


def add_collector(siem: StateDirectory, name: str, source: Source) -> MadeCollector:
    """Make a collector's folder with new identities; returns what the EDR administrator compares.

    Raises SettingsError for a source that cannot be, StateError when the collector exists.
    """
    connector = check(_connector(source), where=f"collector {name}")
    authority_of_server = _read_authority(source.ca)
    identity = self_signed(f"deodar-{name}")
    with _new_collector(siem, name, connector, _COLLECTOR_COMMENT) as home:
        home.write_secret(connector.secret, identity.pem)
        if authority_of_server:
            home.write(connector.ca, authority_of_server)
    digest = fingerprint(identity.certificate)
    return MadeCollector(name, connector.external_id, digest, str(home.path))


def add_collector_of(
    siem: StateDirectory, name: str, table: Mapping[str, Any], normalizer: str = ""
) -> MadeCollector:
    """Make a collector with any other connector; `table` is its settings with their `kind`.

    An empty `normalizer` is the kind's own. Raises SettingsError, NormalizerError or StateError.
    """
    connector = registry.read(table, where=f"collector {name}: connector")
    normalizer = normalizer or registry.kind_of(connector).normalizer
    open_normalizer(normalizer)
    with _new_collector(siem, name, connector, _OTHER_COMMENT, normalizer) as home:
        pass
    return MadeCollector(name, "", "", str(home.path))


@contextlib.contextmanager
def _new_collector(
    siem: StateDirectory,
    name: str,
    connector: ConnectorSettings,
    comment: str,
    normalizer: str = "kedr",
) -> Iterator[StateDirectory]:
    """Make a collector's folder, to be filled; what fails leaves nothing behind."""
    core = load_siem(siem.path / SIEM_SETTINGS)
    folder = collector_folder(siem.path, name)
    if folder.exists():
        raise StateError(f"there is a collector {name} already: {folder}")
    settings = CollectorSettings(
        name=name,
        service_id=str(uuid.uuid4()),
        tenant_id=core.tenant_id,
        core=CoreLink(url=core_url(core)),
        connector=connector,
        normalizer=normalizer,
    )
    home = StateDirectory.create(folder)
    try:
        yield home
        authority = Pair(siem.read("authority.pem"), siem.read("authority.key"))
        issue_for_core(authority, home, name, settings.core)
        home.write(SETTINGS, files.dump(settings, comment=comment).encode())
        _make_known(siem, core, home, settings)
    except BaseException:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
        raise


def core_url(core: SiemSettings) -> str:
    """Return the address under which collectors on this host reach the core."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(core.host, core.host)  # noqa: S104
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"https://{host}:{core.port}"


def _connector(source: Source) -> KataEdrSettings:
    return KataEdrSettings(
        urls=list(source.urls),
        external_id=str(uuid.uuid4()),
        max_events=source.max_events,
        max_timeout=source.max_timeout,
        client_timeout=source.client_timeout,
        filter=source.filter,
        pins=[pin.lower().replace(":", "") for pin in source.pins],
        ca="edr-authority.pem" if source.ca else "",
        insecure=source.insecure,
    )


def _read_authority(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read the authority {path}: {error.strerror}") from error
    load_certificates(pem)
    return pem


def _make_known(
    siem: StateDirectory, core: SiemSettings, home: StateDirectory, settings: CollectorSettings
) -> None:
    """Make the collector a service of the core, which lets in no other."""
    from deodar.siem.services.core import opened  # noqa: PLC0415 - it needs a database, others not

    with opened(siem, core) as known:
        register, pairing = known.register, known.pairing
        made = register.adopt(settings.service_id, settings.name, "collector", core.tenant_id)
        pairing.name_certificate(made.id, home.read(settings.core.certificate))
