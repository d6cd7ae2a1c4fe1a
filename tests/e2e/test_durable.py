"""What an agent was told is stored is on the disk: by system calls, and after the power is cut."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest
from tests.e2e.disk import disk
from tests.e2e.edr_process import SETTINGS, Agent, EdrProcess

from deodar.demo.stack import attempts

if TYPE_CHECKING:
    pass

SIZE = 1 << 30
AGENTS = 4
ENOUGH = 40
TRACED = "trace=write,pwrite64,fsync,fdatasync,syncfs,rename,sendto,recvfrom"


@pytest.mark.slow
def test_a_packet_is_written_synced_and_only_then_answered(tmp_path):
    """By the server's system calls, from the packet's first byte to the answer's."""
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-yy", "-s", "64", "-o", str(trace), "-e", TRACED]
    server = EdrProcess(tmp_path / "edr", tmp_path).start(*strace)
    try:
        agent = server.agent()
        for number in (1, 2):  # the first one also makes the connection
            assert agent.send(agent.packet(number)).status_code == 200
    finally:
        os.kill(server.pid, signal.SIGTERM)  # strace itself would only let it go
        server.child.wait(60)
    calls = Calls(trace.read_text().splitlines())
    port = server.url.rpartition(":")[2]
    packet, answer = calls.last_exchange(port)
    files = calls.between(packet, answer, "fdatasync(", "/tmp_insert_")
    renamed = calls.between(packet, answer, 'rename("', "/tmp_insert_")
    assert len(renamed) == 1
    part = calls.lines[renamed[0]].split('"')[1].rstrip("/")
    folder = part.rpartition("/")[0]
    written = {calls.file(n) for n in calls.between(packet, answer, "write(", f"<{part}/")}
    synced = {calls.file(n) for n in files}
    assert f"{part}/data.bin" in written
    assert written <= synced  # every file of the part …
    assert part in synced  # … and the folder that has them
    assert max(files) < renamed[0]
    (around,) = calls.between(renamed[0], answer, "fsync(", f"<{folder}>")
    assert renamed[0] < around < answer


class Calls:
    """The lines of a trace; a call that was interrupted counts where it ended."""

    def __init__(self, lines: list[str]) -> None:
        begun: dict[str, str] = {}
        self.lines: list[str] = []
        for line in lines:
            thread, _, call = line.partition(" ")
            call = call.strip()
            if call.endswith("<unfinished ...>"):
                begun[thread] = call.removesuffix("<unfinished ...>")
                continue
            if call.startswith("<... "):
                call = begun.pop(thread, "") + call.partition("resumed>")[2]
            self.lines.append(call)

    def file(self, at: int) -> str:
        """Return the path of the file that a call is about."""
        return self.lines[at].partition("<")[2].partition(">")[0].rstrip("/")

    def between(self, first: int, last: int, call: str, text: str) -> list[int]:
        """Return where a call on something comes, and succeeds, between two others."""
        found = range(first + 1, last)
        return [n for n in found if self._is(n, call, text) and "= -1" not in self.lines[n]]

    def last_exchange(self, port: str) -> tuple[int, int]:
        """Return where the server read the last packet and where it answered.

        Those are the last message of kilobytes that it received from an agent and what it sent
        over the same connection after that.
        """
        mark = f":{port}->"
        packet = max(
            n
            for n in range(len(self.lines))
            if self._is(n, "recvfrom(", mark) and int(self.lines[n].rpartition("= ")[2]) > 1000
        )
        peer = self.file(packet)
        rest = range(packet + 1, len(self.lines))
        return packet, next(n for n in rest if self._is(n, "sendto(", peer))

    def _is(self, at: int, call: str, text: str) -> bool:
        return self.lines[at].startswith(call) and text in self.lines[at]


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_was_acknowledged_survives_a_cut_of_the_power(tmp_path, kind):
    """The disk is cut off while agents send; what it had not been made to keep is gone."""
    with disk(tmp_path, kind, SIZE) as storage:
        settings = msgspec.structs.replace(
            SETTINGS, ingest=msgspec.structs.replace(SETTINGS.ingest, free_bytes=0)
        )
        server = EdrProcess(storage.mount / "edr", tmp_path, settings).start()
        agents = [server.agent() for _ in range(AGENTS)]
        control = storage.mount / "written-but-not-synced"
        cut = threading.Event()
        senders = [threading.Thread(target=_send, args=(one, cut)) for one in agents]
        for sender in senders:
            sender.start()
        for _ in attempts(60, pause=0.01):
            if sum(len(agent.acknowledged) for agent in agents) >= ENOUGH:
                break
        control.write_bytes(bytes(8192))
        storage.cut_power()
        cut.set()
        server.child.kill()
        for sender in senders:
            sender.join(30)
        acknowledged = sum(len(agent.acknowledged) for agent in agents)
        assert acknowledged >= ENOUGH
        storage.detach()
        storage.attach()
        assert not control.exists() or control.read_bytes() != bytes(8192)  # the cut was one

        server.start()
        found = server.reader().all()
        kept = {
            event for agent in agents for number in agent.acknowledged
            for event in agent.ids[number]
        }  # fmt: skip
        assert kept <= set(found)
        assert len(found) == len(set(found))

        for agent in agents:  # and what was not acknowledged can be sent again
            agent.reconnect()
            for number in agent.bodies.keys() - agent.acknowledged:
                assert agent.send(number).status_code == 200
        every = sorted(e for agent in agents for ids in agent.ids.values() for e in ids)
        assert sorted(server.reader().all()) == every
        assert server.child.stop() == 0


def _send(agent: Agent, cut: threading.Event) -> None:
    number = 0
    while not cut.is_set():
        number += 1
        try:
            agent.send(agent.packet(number))
        except httpx.HTTPError:
            return


@pytest.fixture(autouse=True)
def tools(request: pytest.FixtureRequest) -> None:
    wanted = ["strace"] if "kind" not in request.fixturenames else ["mkfs.ext4", "mkfs.xfs"]
    missing = [tool for tool in wanted if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (tools/debian-packages test, as root)")
