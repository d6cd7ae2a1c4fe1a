from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.tls.certificates import load_pair
from deodar.tls.errors import CertificateError
from deodar.tls.pem import der, fingerprint, load_certificates, load_key, subject_name, validity


def test_the_fingerprint_is_openssls(tmp_path, clients):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    (tmp_path / "c.pem").write_bytes(clients["self-signed"].certificate)
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", tmp_path / "c.pem"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    theirs = out.strip().partition("=")[2].replace(":", "").lower()
    assert fingerprint(clients["self-signed"].certificate) == theirs


def test_der_and_pem_have_the_same_fingerprint(server_pair):
    assert fingerprint(der(server_pair.certificate)) == fingerprint(server_pair.certificate)
    assert der(der(server_pair.certificate)) == der(server_pair.certificate)


def test_names_and_dates_are_read_from_der_and_pem(clients):
    pem = clients["issued"].certificate
    assert subject_name(pem) == subject_name(der(pem)) == "agent-1"
    assert validity(pem) == validity(der(pem))


@pytest.mark.parametrize("read", [der, fingerprint, subject_name, validity, load_certificates])
def test_what_is_no_certificate_is_told(read):
    with pytest.raises(CertificateError):
        read(b"nothing")


@given(st.data())
def test_damaged_certificates_are_told_or_read(clients, data):
    """Also where the parser has an error of its own kind, as for an unknown version."""
    good = der(clients["issued"].certificate)
    position = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[position] ^= data.draw(st.integers(1, 255))
    for read in (subject_name, validity):
        with contextlib.suppress(CertificateError):
            read(bytes(bad))
    pem = ssl.DER_cert_to_PEM_cert(bytes(bad)).encode()
    with contextlib.suppress(CertificateError):
        load_pair(clients["issued"].key + pem)
    assert len(fingerprint(b"0" + bytes(bad[1:]))) == 64


def test_der_that_is_no_certificate_is_told_when_it_is_read():
    with pytest.raises(CertificateError, match="cannot be read"):
        subject_name(b"0\x03abc")


def test_a_key_is_read(clients):
    assert load_key(clients["issued"].pem).key_size == 256
    with pytest.raises(CertificateError, match="0 private keys"):
        load_key(clients["issued"].certificate)
