"""The bounds of uploads; what the API does otherwise is in the conformance suite."""

from __future__ import annotations

from typing import Any

import pytest

from deodar.edr.scanning import scans as module
from deodar.edr.settings import EdrSettings, Scanning

URL = "/kata/scanner/v1/sensors/siem-1/scans"


@pytest.fixture
def settings() -> EdrSettings:
    scanning = Scanning(max_file_bytes=2000, waiting_bytes=3000)
    return EdrSettings(host="127.0.0.1", port=0, names=("127.0.0.1",), scanning=scanning)


@pytest.fixture
async def system(server):
    return await server.system().accepted()


async def post(system: Any, content: bytes, scan_id: str = "a") -> Any:
    data = {"scanId": scan_id, "objectType": "file"}
    return await system.client.post(URL, data=data, files={"content": ("f", content)})


async def test_files_above_the_limit_are_refused_and_leave_nothing(server, system):
    assert (await post(system, b"x" * 2000)).status_code == 200
    assert (await post(system, b"x" * 2001)).status_code == 413
    assert (await post(system, b"x" * 200_000)).status_code == 413
    folder = server.installation.directory.path / "scans"
    assert [path.name for path in folder.iterdir() if path.name.startswith("new-")] == []


async def test_more_than_may_wait_is_refused_for_a_while(system, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 0)
    answer = await post(system, b"x")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "60"


async def test_when_waiting_files_take_all_the_room_more_are_refused(server, system):
    folder = server.installation.directory.path / "scans"
    (folder / "other").write_bytes(b"x" * 3000)
    answer = await post(system, b"x")
    assert answer.status_code == 429
    assert "take all the room" in answer.json()["error"]
    (folder / "other").unlink()
    assert (await post(system, b"x")).status_code == 200


async def test_a_form_that_breaks_off_is_refused(system):
    body = b'--e\r\nContent-Disposition: form-data; name="scanId"\r\n\r\na\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=e"}
    answer = await system.client.post(URL, content=body, headers=headers)
    assert answer.status_code == 400
    assert "breaks off" in answer.json()["error"]


async def test_too_many_fields_are_refused(system):
    data = {f"field{number}": "x" for number in range(30)}
    answer = await system.client.post(URL, data=data, files={"content": ("f", b"x")})
    assert answer.status_code == 400
