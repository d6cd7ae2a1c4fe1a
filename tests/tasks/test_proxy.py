from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.tasks.errors import InvalidSetting
from deodar.tasks.proxy import (
    ProxyServer,
    has_hidden_password,
    hide_password,
    parse_proxy,
    proxy_problem,
    restore_password,
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("proxy:3128", ProxyServer(host="proxy", port=3128)),
        ("10.0.0.1:80", ProxyServer(host="10.0.0.1", port=80)),
        ("[2001:db8::1]:8080", ProxyServer(host="2001:db8::1", port=8080)),
        ("ann:s@cr:t@p:1", ProxyServer(host="p", port=1, user="ann", password="s@cr:t")),
        ("ann@p:1", ProxyServer(host="p", port=1, user="ann")),
    ],
)
def test_a_proxy_has_its_parts(text: str, meant: ProxyServer) -> None:
    assert proxy_problem(text) == ""
    assert parse_proxy(text) == meant


@pytest.mark.parametrize(
    "text",
    ["", "proxy", ":3128", "proxy:", "p:0", "p:65536", "p:x", "::1:80", "@p:1", ":b@p:1", "a b:1",
     "http://p:1", "p:" + "9" * 30, "x" * 2000, "p:¹"],
)  # fmt: skip
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting):
        parse_proxy(text)
    assert text == "" or proxy_problem(text)


@pytest.mark.parametrize("text", ["ann:secret@p", "ann:secret@p:x", ":secret@p:1"])
def test_an_error_does_not_show_the_password(text: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse_proxy(text)
    assert "secret" not in str(caught.value)


def test_a_proxy_does_not_show_its_password() -> None:
    assert repr(parse_proxy("ann:secret@p:1")) == "ProxyServer(ann:***@p:1)"
    assert repr(parse_proxy("p:1")) == "ProxyServer(p:1)"


@given(st.text("ab:@ *", min_size=1, max_size=20))
def test_a_password_is_hidden_and_comes_back(password: str) -> None:
    text = f"ann:{password}@proxy:1"
    hidden = hide_password(text)
    assert hidden == "ann:***@proxy:1"
    assert has_hidden_password(hidden)
    assert restore_password(hidden, text) == text
    assert restore_password("ann:***@other:2", text) == f"ann:{password}@other:2"


def test_what_has_no_password_stays() -> None:
    for text in ("", "p:1", "ann@p:1", "ann:new@p:1"):
        assert restore_password(text, "ann:old@p:1") == text
    assert hide_password("ann@p:1") == "ann@p:1"


@pytest.mark.parametrize("present", ["", "p:1", "ann@p:1", "bob:x@p:1"])
def test_a_password_that_is_not_known_cannot_be_meant(present: str) -> None:
    with pytest.raises(InvalidSetting, match="give the password itself"):
        restore_password("ann:***@p:1", present)
