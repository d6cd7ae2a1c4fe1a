from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PBES,
    serialize_key_and_certificates,
)
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.key_rounds import of_der, of_pem
from deodar.tls import pem
from deodar.tls.certificates import self_signed

ALGORITHMS = [PBES.PBESv1SHA1And3KeyTripleDESCBC, PBES.PBESv2SHA256AndAES256CBC]
PAIR = self_signed("x")
KEY = pem.load_key(PAIR.key)
(OWN,) = pem.load_certificates(PAIR.certificate)


def container(rounds: int, algorithm: PBES) -> bytes:
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(rounds)
        .key_cert_algorithm(algorithm)
        .hmac_hash(hashes.SHA256())
        .build(b"secret")
    )
    return serialize_key_and_certificates(b"x", KEY, OWN, None, encryption)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("rounds", [2048, 70_000])
def test_the_rounds_of_a_container_are_found(algorithm, rounds):
    assert of_der(container(rounds, algorithm)) == rounds


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_count_in_a_container_is_looked_at(algorithm):
    """The key, the certificates and the checksum have a count each; any may be the large one."""
    good = container(20_000, algorithm)
    written = b"\x02\x02" + (20_000).to_bytes(2, "big")
    places = [at for at in range(len(good)) if good.startswith(written, at)]
    assert places
    for at in places:
        changed = good[:at] + b"\x02\x02" + (30_000).to_bytes(2, "big") + good[at + 4 :]
        assert of_der(changed) == 30_000


def test_the_rounds_of_an_encrypted_key_are_found():
    secret = BestAvailableEncryption(b"secret")
    sealed = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
    assert 1000 < of_pem(sealed) < 1_000_000
    assert of_pem(PAIR.certificate + sealed) == of_pem(sealed)


def test_what_is_not_encrypted_asks_for_none():
    for key in (KEY, ec.generate_private_key(ec.SECP256R1())):
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            assert of_pem(key.private_bytes(Encoding.PEM, form, NoEncryption())) == 0
            assert of_der(key.private_bytes(Encoding.DER, form, NoEncryption())) == 0
    assert of_der(serialize_key_and_certificates(b"x", KEY, OWN, None, NoEncryption())) <= 2048


@given(st.binary(max_size=400))
def test_whatever_comes_there_is_an_answer(data):
    assert of_der(data) >= 0
    assert of_der(b"\x30\x80" + data) >= 0
    wrapped = b"-----BEGIN PRIVATE KEY-----\n" + data + b"-----END PRIVATE KEY-----"
    assert of_pem(wrapped) >= 0
