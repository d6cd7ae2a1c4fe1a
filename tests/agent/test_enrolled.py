from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from deodar.agent.enrolled import (
    AUTHORITY,
    CERTIFICATE,
    KEY,
    SETTINGS,
    fingerprint,
    load,
    server_context,
)
from deodar.agent.errors import NotEnrolledError
from deodar.tls import certificates

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.kit.directory import StateDirectory


@pytest.fixture
def directory(tmp_path: Path, server: Any) -> StateDirectory:
    found: StateDirectory = server.enrol(tmp_path / "agent")
    return found


@pytest.mark.parametrize("missing", [SETTINGS, CERTIFICATE, KEY, AUTHORITY])
def test_folder_without_an_agent_says_how_to_enrol(directory: StateDirectory, missing: str) -> None:
    (directory.path / missing).unlink()
    with pytest.raises(NotEnrolledError, match=f"{missing} is missing.*deodar agent enroll --dir"):
        load(directory)


def test_context_trusts_the_pinned_authority_only(directory: StateDirectory, server: Any) -> None:
    context = server_context(directory, load(directory))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.cert_store_stats()["x509_ca"] == 1
    (trusted,) = context.get_ca_certs(binary_form=True)
    assert certificates.fingerprint(trusted) == server.pin


def test_pin_may_be_written_with_colons(directory: StateDirectory, server: Any) -> None:
    settings = load(directory)
    pin = ":".join(server.pin[i : i + 2] for i in range(0, 64, 2)).upper()
    written = msgspec.structs.replace(settings.server, pins=[pin])
    assert server_context(directory, msgspec.structs.replace(settings, server=written))


def test_authority_that_is_not_the_pinned_one_is_refused(directory: StateDirectory) -> None:
    settings = load(directory)
    directory.write_secret(AUTHORITY, certificates.make_authority("other").certificate)
    with pytest.raises(NotEnrolledError, match="is not the certificate that"):
        server_context(directory, settings)


@pytest.mark.parametrize("name", [AUTHORITY, CERTIFICATE, KEY])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\xfe"])
def test_damaged_file_is_told_with_advice(
    directory: StateDirectory, name: str, content: bytes
) -> None:
    settings = load(directory)
    directory.write_secret(name, content)
    with pytest.raises(NotEnrolledError, match="deodar agent enroll --force"):
        server_context(directory, settings)


def test_fingerprint_is_that_of_other_programs(server: Any) -> None:
    authority = server.authority.certificate
    assert fingerprint(authority) == certificates.fingerprint(authority)
    with pytest.raises(ValueError, match=r".+"):
        fingerprint(b"nonsense")
