"""Whatever an external system sends to the response, alert and scan APIs, the server stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.conftest import started

from deodar.edr.enrolment import Endpoints
from deodar.edr.settings import EdrSettings, EventsApi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.conftest import Kata
    from tests.conformance.script import Script

EXAMPLES = 150
WORDS = st.sampled_from(
    ["sensors", "settings", "tasks", "t-1", "detects", "scans", "state", "filters", "", "..", "%00"]
) | st.text(max_size=10).map(lambda text: quote(text, safe=""))
NAMES = st.sampled_from(
    ["sensor_id", "settings_type", "task_type", "settings", "limit", "token", "detect_type",
     "state", "sensorInstanceId", "ip", "host"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
FIELDS = st.sampled_from(
    ["settings", "excludedRules", "autoTurnoffTimeoutInSec", "direction", "protocol", "objects",
     "file", "sha256", "md5", "task", "schedule", "startNow", "execCommand", "cmdLineParameters"]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kata]:
    """Return a server for these tests alone: they leave odd things behind, and do not wait."""
    given = EdrSettings(
        host="127.0.0.1", port=0, names=("127.0.0.1",), events_api=EventsApi(rate=0)
    )
    with started(tmp_path_factory.mktemp("odd"), given) as made:
        yield made


@pytest.fixture(scope="module")
def script(own) -> Script:
    return own.accepted()


@pytest.fixture(scope="module")
def sensor(own) -> str:
    return Endpoints(own.database).list()[0].agent_id


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
@given(data=st.data())
def test_no_request_is_a_fault_of_the_server(script, sensor, data):
    known = st.sampled_from(
        [sensor, "all", "prevention", "network_isolation", "run_process", "true", "detect", "1"]
    )
    prefix = data.draw(st.sampled_from(["response_api/v1/", "scanner/v1/sensors/"]))
    words = data.draw(st.lists(WORDS, max_size=4))
    pairs = data.draw(st.lists(st.tuples(NAMES, known | st.text(max_size=20)), max_size=5))
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
    method = data.draw(st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD"]))
    body = data.draw(st.none() | st.binary(max_size=50) | VALUES.map(as_json))
    path = "/".join([f"/kata/{prefix}{script.id}", *words])
    answer = script.send(f"{path}?{query}" if query else path, method, {}, body)
    assert answer.status < 500, (method, path, query, body, answer.body)
    if answer.status >= 400 and method != "HEAD":
        assert answer.json["error"]


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
@given(
    kind=st.sampled_from(["prevention", "network_isolation", "run_process"]),
    value=VALUES,
    wrapped=st.booleans(),
)
def test_no_body_is_a_fault_of_the_server(script, sensor, kind, value, wrapped):
    name = "task" if kind == "run_process" else "settings"
    body = as_json({name: value} if wrapped else value)
    tail = (
        "tasks/fuzz?task_type=run_process" if name == "task" else f"settings?settings_type={kind}"
    )
    path = f"/kata/response_api/v1/{script.id}/{tail}&sensor_id={sensor}"
    answer = script.send(path, "POST", {}, body)
    assert answer.status in (200, 400, 409), (body, answer.body)


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
@given(
    edge=st.text('abc-"; =', max_size=8),
    parts=st.lists(
        st.tuples(
            st.sampled_from(["content", "scanId", "objectType", "sensorInstanceId"])
            | st.text(max_size=5),
            st.booleans(),
            st.binary(max_size=30),
        ),
        max_size=6,
    ),
    end=st.sampled_from([b"--\r\n", b"", b"\r\n"]),
)
def test_no_form_is_a_fault_of_the_server(script, edge, parts, end):
    line = b"--" + edge.encode()
    body = b""
    for name, is_file, content in parts:
        head = f'Content-Disposition: form-data; name="{name}"'
        head += '; filename="f"' if is_file else ""
        body += line + b"\r\n" + head.encode("utf-8", "replace") + b"\r\n\r\n" + content + b"\r\n"
    headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    path = f"/kata/scanner/v1/sensors/{script.id}/scans"
    answer = script.send(path, "POST", headers, body + line + end)
    assert answer.status in (200, 400, 413), (body, answer.body)


def as_json(value: Any) -> bytes:
    """Return a value as JSON, with NaN and lone surrogates where it has them."""
    return json.dumps(value).encode()
