"""Requests taken apart; the ways they come are in test_front.py."""

from __future__ import annotations

import pytest

from deodar.store.errors import QueryError
from deodar.store.front_request import understand


def test_options_of_the_protocol_are_no_settings() -> None:
    url = [("query", "SELECT {a:String}"), ("param_a", "x"), ("session_id", "s"), ("extremes", "1")]
    query = understand(url, {}, b"", changing=False)
    assert query.text == b"SELECT {a:String}"
    assert query.parameters == {"a": "x"}
    assert query.settings == {"extremes": "1"}
    assert query.format == "TabSeparated"
    assert query.query_id


def test_native_with_a_protocol_version_is_refused() -> None:
    url = [("default_format", "Native"), ("client_protocol_version", "54460")]
    with pytest.raises(QueryError, match="not spoken here"):
        understand(url, {}, b"SELECT 1", changing=True)
    understand([("client_protocol_version", "54405")], {}, b"SELECT 1", changing=True)


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\n\xff\r\n--b--\r\n',
    ],
)
def test_bad_forms(body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    try:
        assert understand([], headers, body, changing=False).text == b""
    except QueryError:
        return
    assert body == b"nonsense"  # a form without a part is an empty one
