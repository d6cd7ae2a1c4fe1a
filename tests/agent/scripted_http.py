"""The HTTPS side of the scripted server: real sockets and TLS, one thread a connection."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.agent.steps import (
    AGENT_ID,
    Deaf,
    Endless,
    Half,
    Hang,
    Lose,
    Raw,
    Refuse,
    Reset,
    Say,
    Step,
    Trickle,
)

from deodar.tls.certificates import issue_client, subject_name

if TYPE_CHECKING:
    from tests.agent.scripted import Server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Https

    def do_POST(self) -> None:
        script = self.server.script
        script.caller = self.headers["User-Agent"]
        if self.path == "/agent/v1/enroll":
            self._enroll(json.loads(self._body()))
        elif self.path == "/agent/v1/packets" and self._is_known():
            script.requests += 1
            script.arrivals.append(time.monotonic())
            self._follow(script.script, self._take)
        elif self.path == "/agent/v1/sync" and self._is_known():
            script.sync_requests += 1
            self._follow(script.sync_script, self._synchronize)
        elif self.path not in {"/agent/v1/packets", "/agent/v1/sync"}:
            self._say(Say(404, b'{"error": "not here"}'))

    def _is_known(self) -> bool:
        """Whether the agent is let in; its body is not read otherwise."""
        certificate = self.connection.getpeercert(binary_form=True)
        if certificate is None:
            refusal = Refuse(401, b'{"error": "a client certificate is needed"}')
        elif subject_name(certificate) in self.server.script.agents | {AGENT_ID}:
            return True
        else:
            refusal = Refuse(403, b'{"error": "unknown agent"}')
        self._refuse(refusal)
        return False

    def _follow(self, steps: deque[Step | None], work: Any) -> None:
        step = steps.popleft() if steps else None
        if isinstance(step, Reset):
            self.rfile.read(16)
            return self._reset()
        if isinstance(step, Deaf):
            self.server.stopping.wait(step.seconds)
            return self._reset()
        if isinstance(step, Refuse):
            return self._refuse(step)
        body = self._body()
        if len(body) < int(self.headers["Content-Length"]):
            self.close_connection = True  # the agent was ended while it sent
            return None
        if isinstance(step, Say):
            return self._say(step)
        if isinstance(step, Raw):
            self.close_connection = True
            self.wfile.write(step.data)
            return None
        if isinstance(step, Endless):
            return self._endless()
        status, answer = work(body)
        return self._answer(step, Say(status, json.dumps(answer).encode()))

    def _answer(self, step: Step | None, say: Say) -> None:
        if isinstance(step, Hang):
            self.server.stopping.wait(step.seconds)
        if isinstance(step, Lose | Hang):
            self._reset()
        elif isinstance(step, Trickle | Half):
            head = f"HTTP/1.1 {say.status} .\r\nContent-Length: {len(say.body)}\r\n\r\n".encode()
            self._slowly(step, head + say.body)
        else:
            self._say(say)

    def _slowly(self, step: Trickle | Half, text: bytes) -> None:
        if isinstance(step, Half):
            self.close_connection = True
            self.wfile.write(text[: len(text) - 8])
            return
        for byte in text:
            self.wfile.write(bytes([byte]))
            if self.server.stopping.wait(step.seconds):
                return

    def _endless(self) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not self.server.stopping.is_set():
            self.wfile.write(b"x" * 65536)

    def _take(self, body: bytes) -> tuple[int, dict[str, Any]]:
        certificate = self.connection.getpeercert(binary_form=True)
        return self.server.script.take(subject_name(certificate), self.headers, body)

    def _synchronize(self, body: bytes) -> tuple[int, dict[str, Any]]:
        return 200, self.server.script.synchronize(json.loads(body))

    def _enroll(self, asked: dict[str, Any]) -> None:
        script = self.server.script
        if asked["token"] not in script.secrets:
            self._say(Say(403, b'{"error": "the enrolment token is unknown, used or outdated"}'))
            return
        script.secrets.remove(asked["token"])
        script.agents.add("agent-7")
        certificate = issue_client(script.authority, asked["request"].encode(), "agent-7")
        answer = {
            "agent_id": "agent-7",
            "certificate": certificate.decode(),
            "authority": script.authority.certificate.decode(),
        }
        self._say(Say(200, json.dumps(answer).encode()))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _say(self, say: Say) -> None:
        self.send_response(say.status)
        for name, value in say.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(say.body)))
        self.end_headers()
        self.wfile.write(say.body)

    def _refuse(self, refusal: Refuse) -> None:
        self.close_connection = True
        self._say(Say(refusal.status, refusal.body, (("Connection", "close"),)))

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        pass


class Https(ThreadingHTTPServer):
    """The server of one script."""

    daemon_threads = True
    script: Server
    stopping: threading.Event
    tls: ssl.SSLContext

    def __init__(self, address: tuple[str, int]) -> None:
        self.links: set[Any] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.script.connections += 1
        self.links.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.links.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """Close all connections."""
        for link in list(self.links):
            with suppress(OSError):
                socket.socket.shutdown(link, socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None:
        pass


def start(script: Server, folder: Path) -> Https:
    """Start a server for the script, on the port it had before or a free one."""
    pem = folder / "server.pem"
    pem.write_bytes(script.pair.key + script.pair.certificate)
    authority = folder / "authority.pem"
    authority.write_bytes(script.authority.certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    tls.load_verify_locations(authority)
    tls.verify_mode = ssl.CERT_OPTIONAL
    https = Https(("127.0.0.1", script.address[1] if script.url else 0))
    https.script = script
    https.stopping = threading.Event()
    https.socket = tls.wrap_socket(https.socket, server_side=True, do_handshake_on_connect=False)
    https.tls, script.https = tls, https
    script.url = f"https://127.0.0.1:{https.server_address[1]}"
    threading.Thread(target=https.serve_forever, args=(0.05,), daemon=True).start()
    return https


def stop(https: Https) -> None:
    """Close the port and all connections."""
    https.stopping.set()
    https.shutdown()
    https.server_close()
    https.cut()
