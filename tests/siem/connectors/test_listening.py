from __future__ import annotations

import ssl

import pytest

from deodar.kit.errors import DeodarError, SettingsError
from deodar.siem.connectors.listening import (
    ListenTls,
    address_problem,
    peer_address,
    server_context,
)
from deodar.tls.certificates import make_authority, self_signed


def test_a_context_is_there_only_with_a_certificate(tmp_path):
    assert server_context(ListenTls(), tmp_path) is None
    (tmp_path / "x.pem").write_bytes(self_signed("x").pem)
    (tmp_path / "ca.pem").write_bytes(make_authority("ca").certificate)
    context = server_context(ListenTls(certificate="x.pem"), tmp_path)
    assert context.verify_mode == ssl.CERT_NONE
    context = server_context(ListenTls(certificate="x.pem", client_ca="ca.pem"), tmp_path)
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_files_that_cannot_be_used_are_told(tmp_path):
    with pytest.raises(SettingsError, match="cannot read"):
        server_context(ListenTls(certificate="absent"), tmp_path)
    (tmp_path / "x.pem").write_text("nonsense")
    with pytest.raises(DeodarError, match="PEM"):
        server_context(ListenTls(certificate="x.pem"), tmp_path)


def test_addresses():
    assert address_problem("0.0.0.0") == address_problem("::1") == ""
    assert "no IP address" in address_problem("localhost")
    assert peer_address(("::ffff:192.0.2.1", 5, 0, 0)) == "192.0.2.1"
    assert peer_address(("2001:db8::ffff:1", 5, 0, 0)) == "2001:db8::ffff:1"
    assert peer_address(None) == ""
