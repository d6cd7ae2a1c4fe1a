from __future__ import annotations

import stat
import subprocess

import httpx
from tests.siem.conftest import DEODAR, free_port
from tests.siem.test_cli import deodar

from deodar.kit.children import Child
from deodar.siem import control, setup


def test_the_control_socket_is_the_owners_alone(core):
    assert stat.S_IMODE(core.home.socket.stat().st_mode) == 0o600


def test_a_second_core_on_the_same_folder_is_refused(core):
    ran = subprocess.run(
        [*DEODAR, "siem", "run", "--dir", str(core.home.path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 3
    assert f"in use by process {core.child.pid}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_metrics_and_status_are_there(core):
    assert "deodar_core_stored" in control.call(core.home.socket, "GET", "/metrics").text
    assert control.call(core.home.socket, "GET", "/status").json()["refused"] >= 0


def test_the_clickhouse_front_is_off_by_default(core):
    text = core.home.read("siem.toml").decode()
    assert "[front]\nenabled = false" in text


def test_the_search_finds_the_whole_event_model(core):
    sql = "select * from events limit 0"
    assert core.search(sql) == []


def test_a_core_that_was_killed_starts_again_and_serves_the_front_if_told_to(tmp_path):
    """The folder, the port and the store are free again after a kill, and after a stop."""
    home = setup.init_siem(tmp_path / "siem", "127.0.0.1", free_port(), "")
    child = Child("core", [*DEODAR, "siem", "run", "--dir", str(home.path)], tmp_path)
    child.start().ready(60)
    child.kill()
    port, digest = free_port(), deodar("password-hash", "--password", "secret").stdout.strip()
    front = f'[front]\nenabled = true\nport = {port}\npassword_hash = "{digest}"\nuser = "reader"\n'
    text = home.read("siem.toml").decode().partition("[front]")[0]
    home.write("siem.toml", f"{text}{front}".encode())
    child.start().ready(60)
    query = {"query": "SELECT count() FROM events"}
    url = f"http://127.0.0.1:{port}/"
    assert httpx.get(url, params=query, auth=("reader", "secret")).text.strip() == "0"
    assert httpx.get(url, params=query, auth=("reader", "wrong")).status_code in (401, 403)
    assert child.stop() == 0
    assert not home.socket.exists()
