"""Passwords of the front."""

from __future__ import annotations

import base64

import pytest

from deodar.store.errors import StoreError
from deodar.store.front_auth import Authenticator, Credentials, basic, hash_password


def test_proven_and_remembered() -> None:
    authenticator = Authenticator("u", hash_password("p"))
    right = Credentials("u", "p")
    assert not authenticator.remembers(right)
    assert authenticator.proves(right)
    assert authenticator.remembers(right)
    for wrong in (Credentials("u", "x"), Credentials("v", "p"), Credentials("", "up")):
        assert not authenticator.proves(wrong)
        assert not authenticator.remembers(wrong)


def test_hashes_differ_and_hide_the_password() -> None:
    first, second = hash_password("secret"), hash_password("secret")
    assert first != second
    assert "secret" not in first


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "plain",
        "scrypt$1$2$3$x$y",
        "bcrypt$16384$8$1$AAAA$AAAA",
        "scrypt$1073741824$8$1$AAAA$AAAA",
    ],
)
def test_other_hashes_are_refused(stored: str) -> None:
    with pytest.raises(StoreError, match=r"scrypt\$n"):
        Authenticator("u", stored)


def test_basic() -> None:
    def header(text: str) -> str:
        return "basic " + base64.b64encode(text.encode()).decode()

    assert basic(header("ü:a:b")) == Credentials("ü", "a:b")
    assert basic(header("u")) == Credentials("u", "")
    assert basic("Bearer x") is None
    assert basic("Basic ???") is None
    assert basic("Basic /w==") is None
