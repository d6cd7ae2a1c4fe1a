"""The thread that carries packets to the server over HTTPS and does what the state machine says.

There is no work per event here: a packet leaves as it lies in the spool. Connections are kept
open; the server is known by its pinned certificate, this agent by its own.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import httpx

from deodar import __version__
from deodar.agent.threads import WatchedThread
from deodar.agent.uplink import Answer, Delivered, Retry, SetAside, State, Uplink, Verdict
from deodar.kit.logging import logger

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from deodar.agent.loss import LossBook
    from deodar.agent.settings import ServerSettings
    from deodar.agent.spool import Spool, StoredPacket

STAGE = "uplink"
PACKETS = "/agent/v1/packets"
HELLO = "/agent/v1/hello"
LARGEST_ANSWER = 64 * 1024
IDLE = 1.0
DEAD_PACKETS = 100
"""How many dead packets are kept."""

_log = logger("agent.uplink")


class UplinkCounters:
    """Totals since the start, for the status. Written by the uplink's thread only."""

    def __init__(self) -> None:
        self.packets = 0
        self.events = 0
        self.dead_events = 0
        """Events that the server took but could not use."""
        self.duplicates = 0
        self.failures = 0
        self.set_aside = 0
        self.last_contact: float | None = None
        """Wall clock, seconds since the epoch."""


class UplinkDriver:
    """Sends packets until it is stopped."""

    def __init__(
        self,
        settings: ServerSettings,
        spool: Spool,
        losses: LossBook,
        *,
        tls: ssl.SSLContext,
        dead_folder: Path,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.machine = Uplink()
        self.counters = UplinkCounters()
        self._settings = settings
        self._spool = spool
        self._losses = losses
        self._dead_folder = dead_folder
        self._stop = threading.Event()
        timeout = httpx.Timeout(settings.request_timeout, connect=settings.connection_timeout)
        self._client = httpx.Client(
            base_url=settings.url,
            verify=tls,
            timeout=timeout,
            transport=transport,
            trust_env=False,
            headers={
                "Deodar-Spool": spool.identity,
                "User-Agent": f"deodar-agent/{__version__}",
            },
        )
        self._thread = WatchedThread("uplink", self._run)

    @property
    def failure(self) -> str:
        """Why the uplink has come to a halt; "" while it works."""
        return self._thread.failure

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Stop sending; waits up to `timeout` seconds for a packet on its way."""
        self._stop.set()
        self._spool.wake()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            self._client.close()

    def _run(self) -> None:
        after = 0
        while not self._stop.is_set():
            packet = self._spool.take(after, IDLE)
            if packet is not None:
                after = self._carry(packet) or after
            elif self._is_quiet():
                self._greet()

    def _carry(self, packet: StoredPacket) -> int | None:
        """Send one packet until it is settled; returns its number, or None when stopped before."""
        while not self._stop.is_set():
            verdict = self._send(packet)
            if isinstance(verdict, Retry):
                self._wait(verdict.seconds)
                continue
            self._settle(packet, verdict)
            return packet.number
        return None

    def _send(self, packet: StoredPacket) -> Verdict:
        headers = {
            "Deodar-Packet": str(packet.number),
            "Content-Encoding": "zstd",
            "Content-Type": "application/x-ndjson",
        }
        answer = self._ask("POST", PACKETS, packet.body, headers)
        if isinstance(answer, str):
            self.counters.failures += 1
            return self.machine.failed(answer)
        verdict = self.machine.answered(packet.number, answer)
        self.counters.failures += isinstance(verdict, Retry)
        return verdict

    def _settle(self, packet: StoredPacket, verdict: Delivered | SetAside) -> None:
        if isinstance(verdict, SetAside):
            self._put_aside(packet, verdict.reason)
        else:
            self.counters.packets += 1
            self.counters.events += packet.header.events
            self.counters.dead_events += verdict.dead
            self.counters.duplicates += verdict.duplicate
        self._spool.acknowledge(packet)

    def _put_aside(self, packet: StoredPacket, reason: str) -> None:
        header = packet.header
        self.counters.set_aside += 1
        self._losses.add(header.events, STAGE, reason, header.first * 1000, header.last * 1000)
        path = self._dead_folder / f"{packet.number:020d}.ndjson.zst"
        _log.error("a packet was put aside", reason=reason, events=header.events, file=str(path))
        try:
            self._dead_folder.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(packet.body)
            for old in sorted(self._dead_folder.glob("*.zst"))[:-DEAD_PACKETS]:
                old.unlink()
        except OSError as error:
            _log.error("a dead packet could not be kept", error=str(error))

    def _greet(self) -> None:
        answer = self._ask("GET", HELLO, None, {})
        if isinstance(answer, str):
            self._wait(self.machine.failed(answer).seconds)
        else:
            self.machine.greeted(answer)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Answer | str:
        """Return the server's answer, or why there was none. Reads no more than a little of it."""
        deadline = time.monotonic() + self._settings.request_timeout
        try:
            with self._client.stream(method, path, content=body, headers=headers) as response:
                text = b""
                for block in response.iter_bytes():
                    text += block
                    if len(text) > LARGEST_ANSWER or time.monotonic() > deadline:
                        break
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        self.counters.last_contact = time.time()
        return Answer(response.status_code, text, _seconds(response.headers.get("Retry-After")))

    def _is_quiet(self) -> bool:
        last = self.counters.last_contact
        return last is None or abs(time.time() - last) >= self._settings.heartbeat

    def _wait(self, seconds: float) -> None:
        if self.machine.state is not State.CONNECTED:
            _log.warning("will try again", problem=self.machine.problem, seconds=round(seconds, 1))
        self._stop.wait(seconds)


def _seconds(retry_after: str | None) -> float | None:
    """Return the header's seconds; None when it is missing or given as a date."""
    if retry_after is None or not retry_after.strip().isdecimal():
        return None
    return float(retry_after)
