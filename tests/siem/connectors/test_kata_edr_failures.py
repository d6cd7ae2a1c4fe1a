from __future__ import annotations

import ssl

import httpx
import pytest

from deodar.siem.connectors.kata_edr import Request
from deodar.siem.connectors.kata_edr_failures import host_of, kind_of, timeout_text, words_of

REQUEST = Request("https://edr:443/kata/events_api/v1/x/events", (), 30.0)


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), "network"),
        (OSError("gone"), "network"),
        (caused(httpx.ConnectError("bad"), ssl.SSLCertVerificationError(1, "verify")), "tls"),
        (caused(httpx.ReadError("cut"), ssl.SSLEOFError(8, "eof")), "network"),
        (httpx.RemoteProtocolError("illegal status line: bytearray(b'..')"), "protocol"),
        (httpx.RemoteProtocolError("illegal request line"), "protocol"),
        (httpx.RemoteProtocolError("peer closed connection"), "network"),
        (httpx.ConnectError("[SSL: TLSV1_ALERT_NO_APPLICATION_PROTOCOL] tlsv1 alert"), "protocol"),
    ],
)
def test_an_error_is_of_a_kind(error, kind):
    assert kind_of(error, trust_first=False) == kind


def test_another_server_than_the_one_that_was_trusted_is_a_kind_of_its_own():
    error = httpx.ConnectError("this is another server: …")
    error = caused(error, ssl.SSLCertVerificationError(1, "this is another server: …"))
    assert kind_of(error, trust_first=True) == "changed"
    assert kind_of(error, trust_first=False) == "tls"


def test_words_say_what_is_known_better():
    error = httpx.RemoteProtocolError("illegal status line: bytearray(b'..')")
    assert "HTTP/2 alone" in words_of(error)
    assert words_of(httpx.ReadError("")) == "ReadError"
    assert words_of(OSError("gone")) == "gone"


def test_timeouts_tell_which_limit_was_passed():
    assert host_of(REQUEST) == "https://edr:443"
    assert "within 30 s (client timeout)" in timeout_text(TimeoutError(), REQUEST)
    assert "no connection" in timeout_text(httpx.ConnectTimeout("x"), REQUEST)
