"""Kinds 10 to 12: connections, listeners, questions to name servers."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import sys
import threading
from contextlib import closing

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.kind, pytest.mark.timeout(300)]
SERVER = "127.0.0.2"
"""Where the tests' own name server listens."""


def python(code: str, mark: str, *arguments: object) -> None:
    """Run Python code in a process that bears the mark."""
    words = [sys.executable, "-c", code, mark, *map(str, arguments)]
    subprocess.run(words, check=True, timeout=60)


def by(mark: str) -> str:
    return f"DeviceCustomString4 LIKE '%{mark}%'"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_connections_by_tcp_and_udp_and_one_in_vain(watched, mark, listener, kind):
    port = listener.getsockname()[1]
    python(
        "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[2])))", mark, port
    )
    row = watched.row("connection", by(mark), f"DestinationPort = {port}")
    assert (row["DestinationAddress"], row["TransportProtocol"]) == ("127.0.0.1", "TCP")
    assert (row["EventOutcome"], int(row["DeviceDirection"])) == ("established", 1)
    assert int(row["SourcePort"]) > 0

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refusing = closed.getsockname()[1]
        code = "import socket, sys; socket.socket().connect_ex(('127.0.0.1', int(sys.argv[2])))"
        python(code, mark, refusing)
    row = watched.row("connection", by(mark), f"DestinationPort = {refusing}")
    assert row["EventOutcome"] == "failed"

    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("::1", 0))
        port = receiver.getsockname()[1]
        code = "import socket, sys; socket.socket(10, 2).sendto(b'x', ('::1', int(sys.argv[2])))"
        python(code, mark, port)
    row = watched.row("connection", by(mark), f"DestinationPort = {port}")
    assert (row["DestinationAddress"], row["TransportProtocol"]) == ("::1", "UDP")
    assert row["EventOutcome"] == "datagram"
    kind(10, "TCP made and refused, UDP over IPv6")


def test_an_inbound_connection_is_the_listeners(watched, mark, kind):
    code = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); s.accept()"
    )
    words = [sys.executable, "-c", code, mark]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline())
        socket.create_connection(("127.0.0.1", port)).close()
    row = watched.row("connection", by(mark), f"SourcePort = {port}")
    assert int(row["DeviceDirection"]) == 0
    kind(10, "an inbound connection, put down to its listener")


def test_raw_and_packet_sockets(watched, mark, kind):
    python("import socket; socket.socket(17, 3, 0x0300)", mark)
    python("import socket; socket.socket(2, 3, 1)", mark)
    families = {row["DeviceCustomString5"] for row in watched.rows("rawsocket", by(mark), wanted=2)}
    assert families == {"AF_PACKET", "AF_INET"}
    kind(10, "a packet socket and a raw one for ICMP")


def test_a_local_socket_is_no_connection(watched, mark, tmp_path):
    code = (
        "import socket, sys; s = socket.socket(1); s.bind(sys.argv[2]); s.listen(); "
        "socket.socket(1).connect(sys.argv[2])"
    )
    python(code, mark, tmp_path / "socket")
    assert watched.none("connection", by(mark))
    assert watched.none("portlisten", by(mark))
    assert watched.none("rawsocket", by(mark))


def test_listeners_of_a_moment_and_of_udp(watched, mark, kind):
    code = (
        "import socket, time; s = socket.create_server(('127.0.0.1', 0)); "
        "time.sleep(0.001); s.close()"
    )
    python(code, mark)
    row = watched.row("portlisten", by(mark), "TransportProtocol = 'TCP'")
    assert row["SourceAddress"] == "127.0.0.1"
    assert int(row["SourcePort"]) > 0
    python("import socket; socket.socket(2, 2).bind(('127.0.0.1', 45678))", mark)
    row = watched.row("portlisten", by(mark), "TransportProtocol = 'UDP'")
    assert int(row["SourcePort"]) == 45678
    kind(11, "a TCP listener of one millisecond, and a bound UDP port")


def test_a_socket_that_does_not_listen_is_no_listener(watched, mark):
    python("import socket; socket.socket(); socket.socket().bind(('127.0.0.1', 0))", mark)
    assert watched.none("portlisten", by(mark))


@pytest.fixture
def name_server():
    """A name server of our own, which answers every question with 192.0.2.77."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind((SERVER, 53))
        thread = threading.Thread(target=_answer, args=(server,), daemon=True)
        thread.start()
        yield
        server.sendto(b"", (SERVER, 53))
        thread.join(5)


def _answer(server: socket.socket) -> None:
    while True:
        question, peer = server.recvfrom(4096)
        if not question:
            return
        end = question.index(b"\0", 12) + 5
        head = question[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0)
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton("192.0.2.77")
        server.sendto(head + question[12:end] + answer, peer)


QUESTION = (
    "import socket, struct, sys; name = sys.argv[2]; "
    "labels = b''.join(bytes([len(x)]) + x.encode() for x in name.split('.')); "
    "head = struct.pack('>6H', 4711, 256, 1, 0, 0, 0); "
    "packet = head + labels + b'\\0' + struct.pack('>2H', 1, 1); "
    f"s = socket.socket(2, 2); s.sendto(packet, ('{SERVER}', int(sys.argv[3]))); "
)


@pytest.mark.usefixtures("name_server")
def test_questions_to_a_name_server(watched, mark, kind, tmp_path):
    python(QUESTION + "s.recvfrom(512)", mark, f"{mark}-raw.example.test", 53)
    config = tmp_path / "resolv.conf"
    config.write_text(f"nameserver {SERVER}\n")
    resolve = "import socket, sys; socket.getaddrinfo(sys.argv[2], 80, socket.AF_INET)"
    words = ["unshare", "-m", "/bin/sh", "-c", 'mount --bind "$1" /etc/resolv.conf; shift; "$@"']
    words += ["sh", config, sys.executable, "-c", resolve, mark, f"{mark}-libc.example.test"]
    subprocess.run(words, check=True, timeout=60)
    seen = ["a hand-made datagram", "getaddrinfo of the C library"]
    for name in ("raw", "libc"):
        row = watched.row("dns", f"DestinationDnsDomain = '{mark}-{name}.example.test'")
        assert (row["DestinationAddress"], row["DeviceCustomString5"]) == (SERVER, "A")
        assert row["EventOutcome"] == "NOERROR"
        assert "192.0.2.77" in row["DeviceCustomString6"]
        assert mark in row["DeviceCustomString4"]
    if shutil.which("dig"):
        subprocess.run(["dig", f"@{SERVER}", f"{mark}-dig.example.test"], check=True, timeout=60,
                       capture_output=True)  # fmt: skip
        row = watched.row("dns", f"DestinationDnsDomain = '{mark}-dig.example.test'")
        assert row["DestinationProcessName"].endswith("/dig")
        seen.append("dig")
    kind(12, ", ".join(seen))


def test_a_like_datagram_to_another_port_is_no_question(watched, mark):
    python(QUESTION, mark, f"{mark}-not.example.test", 5353 + 1)
    assert watched.none("dns", f"DestinationDnsDomain LIKE '{mark}%'")
