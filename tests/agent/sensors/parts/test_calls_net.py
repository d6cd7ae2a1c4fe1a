"""Against the real kernel: sockets without connections, failed connects, DNS, terminals, pipes."""

from __future__ import annotations

import ctypes
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from deodar.agent.sensors.acts import ConsoleInput, DnsMessage, RawSocket
from deodar.agent.sensors.base import Connection, Listen
from deodar.agent.sensors.bpf import BpfSensor, check_host
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.loader import read_blob
from deodar.agent.sensors.parts import calls_net
from deodar.agent.sensors.parts.calls import CALLS
from deodar.agent.sensors.parts.calls_net import KINDS
from deodar.agent.sensors.parts.core import CORE

REACHING = Path(__file__).parent.parent / "reaching.py"
UDP, TCP, UDPLITE = 17, 6, 136
QUERY = struct.pack(">6H", 0x4242, 0x0100, 1, 0, 0, 0) + b"\4host\4test\0\0\1\0\1"
PORT_53 = ("127.0.0.53", 53)


def test_its_numbers_are_its_own() -> None:
    assert all(40 <= kind < 56 for kind in KINDS)


def test_the_layouts_are_those_of_the_c_side() -> None:
    layout = read_blob("calls").manifest["records"]
    assert calls_net.FLOW.size == layout["flow_record"]["bytes"]
    assert calls_net.RAW.size == layout["raw_record"]["bytes"]
    assert calls_net.DNS.size == layout["dns_record"]["fields"]["payload"]
    assert calls_net.CONSOLE.size == layout["console_record"]["fields"]["payload"]


pytestmark = pytest.mark.root


USED: set[int] = set()
"""Ports that tests had already: a flow is told once, and the sensor is the same for all tests."""


@pytest.fixture(scope="module")
def sensor():
    """The sensor that all tests here share: to load it takes long on an emulated machine."""
    try:
        check_host()
    except SensorUnavailable as error:
        pytest.skip(str(error))
    opened = BpfSensor(own_pid=0, parts=(CORE, CALLS))
    opened.open()
    assert opened.refused == []
    yield opened
    opened.close()


@pytest.fixture
def calls(sensor):
    """The sensor, without what earlier tests left in it."""
    while sensor.read(0):
        pass
    return sensor


def datagram_socket(family=socket.AF_INET, port=0, protocol=0):
    """Return a socket bound to a port; for 0 to one that no test has had, for None to none."""
    while True:
        made = socket.socket(family, socket.SOCK_DGRAM, protocol)
        if port is None:
            return made
        made.bind(("127.0.0.1" if family == socket.AF_INET else "::1", port))
        if port or made.getsockname()[1] not in USED:
            USED.add(made.getsockname()[1])
            return made
        made.close()


def free_port(family=socket.AF_INET):
    with datagram_socket(family) as made:
        return made.getsockname()[1]


def flows(records, port):
    """Connections of this process that have a port on either side."""
    own = [r for r in records if type(r) is Connection and r.key.pid == os.getpid()]
    return [r for r in own if port in (r.remote_port, r.local_port)]


SENDERS = {
    "sendto": lambda s, to: s.sendto(b"x", to),
    "sendmsg": lambda s, to: s.sendmsg([b"x"], [], 0, to),
    "connect and send": lambda s, to: (s.connect(to), s.send(b"x")),
    "connect and write": lambda s, to: (s.connect(to), os.write(s.fileno(), b"x")),
    "connect and writev": lambda s, to: (s.connect(to), os.writev(s.fileno(), [b"x", b"y"])),
}


@pytest.mark.parametrize("way", SENDERS)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_first_datagram_to_somewhere_is_told_once(calls, collect, family, way):
    with datagram_socket(family) as there, datagram_socket(family, None) as here:
        to = there.getsockname()
        for _ in range(3):
            SENDERS[way](here, to)
        collect(calls, lambda records: flows(records, to[1]))
        SENDERS[way](here, to)
        with datagram_socket(family) as other:  # what comes after it, so that nothing is missed
            SENDERS[way](here, other.getsockname())
            records = collect(calls, lambda records: flows(records, other.getsockname()[1]))
    assert flows(records, to[1]) == []


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_flow_has_both_sides_and_its_owner(calls, collect, family):
    with datagram_socket(family) as there, datagram_socket(family, None) as here:
        to = there.getsockname()
        here.sendto(b"x", to)
        port = here.getsockname()[1]
        records = collect(calls, lambda records: flows(records, to[1]))
    (flow,) = flows(records, to[1])
    assert (flow.direction, flow.protocol, flow.family) == ("outbound", UDP, family)
    assert (flow.remote_ip, flow.remote_port, flow.local_port) == (*to[:2], port)
    assert (flow.uid, flow.established) == (os.getuid(), True)


def test_a_socket_for_both_families_shows_the_address_that_was_meant(calls, collect):
    with datagram_socket() as there, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as here:
        port = there.getsockname()[1]
        here.sendto(b"x", ("::ffff:127.0.0.1", port))
        (flow,) = flows(collect(calls, lambda records: flows(records, port)), port)
    assert (flow.family, flow.local_ip, flow.remote_ip) == (socket.AF_INET, "0.0.0.0", "127.0.0.1")


RECEIVERS = {
    "recvfrom": lambda s: s.recvfrom(64),
    "recvmsg": lambda s: s.recvmsg(64),
}


@pytest.mark.parametrize("way", RECEIVERS)
def test_who_opened_a_port_is_told_from_where_datagrams_come(calls, collect, way):
    port = free_port()
    with datagram_socket(port=port) as server, datagram_socket(port=None) as client:
        client.sendto(b"x", ("127.0.0.1", port))
        RECEIVERS[way](server)
        from_port = client.getsockname()[1]
        records = collect(calls, lambda records: inbound(records, port))
    (flow,) = inbound(records, port)
    assert (flow.local_port, flow.remote_ip, flow.remote_port) == (port, "127.0.0.1", from_port)


def test_a_server_is_told_of_each_client_once_and_its_answers_are_no_news(calls, collect):
    port = free_port()
    with datagram_socket(port=port) as server:
        for _ in range(4):  # as a resolver does, with another port each time
            with datagram_socket(port=None) as client:
                client.sendto(b"x", ("127.0.0.1", port))
                server.sendto(b"y", server.recvfrom(9)[1])
        with datagram_socket() as last:
            server.sendto(b"z", last.getsockname())
            end = last.getsockname()[1]
            records = collect(calls, lambda records: flows(records, end))
    assert len(inbound(records, port)) == 1
    others = [flow for flow in flows(records, port) if flow.local_port == port]
    assert [flow.remote_port for flow in others if flow.direction == "outbound"] == [end]


def inbound(records, port):
    return [flow for flow in flows(records, port) if flow.direction == "inbound"]


def test_many_messages_in_one_call_are_told_each(calls, collect):
    ports = [free_port() for _ in range(2)]
    script = SENDMMSG.format(ports=ports)
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)

    def found(records):
        return {r.remote_port for r in records if type(r) is Connection} >= set(ports)

    assert found(collect(calls, found))


SENDMMSG = """
import ctypes, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
keep, rows = [], b""
for port in {ports}:
    name = ctypes.create_string_buffer(
        struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton("127.0.0.1")
        + bytes(8), 16)
    data = ctypes.create_string_buffer(b"x", 1)
    piece = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(data), 1), 16)
    keep += [name, data, piece]
    head = (ctypes.addressof(name), 16, ctypes.addressof(piece), 1)
    rows += struct.pack("=QQQQQQQII", *head, 0, 0, 0, 0, 0)
block = ctypes.create_string_buffer(rows, len(rows))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
    assert libc.sendmmsg(here.fileno(), block, 2, 0) == 2
"""


def test_many_messages_got_in_one_call_are_told_each(calls, collect):
    port = free_port()
    with datagram_socket(port=port) as server:
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for number, client in enumerate(clients):
            client.bind((f"127.0.0.{2 + number}", 0))
            client.sendto(b"x", ("127.0.0.1", port))
            client.close()
        assert receive_both(server.fileno()) == 2
        records = collect(calls, lambda records: len(inbound(records, port)) == 2)
    assert [flow.remote_ip for flow in inbound(records, port)] == ["127.0.0.2", "127.0.0.3"]


def receive_both(descriptor):
    """Call recvmmsg(2) for two messages; returns how many there were."""
    keep, rows = [], b""
    for _ in range(2):
        parts = [ctypes.create_string_buffer(size) for size in (28, 64)]
        at = [ctypes.addressof(part) for part in parts]
        piece = ctypes.create_string_buffer(struct.pack("=QQ", at[1], 64), 16)
        keep += [*parts, piece]
        rows += struct.pack("=QQQQQQQII", at[0], 28, ctypes.addressof(piece), 1, 0, 0, 0, 0, 0)
    block = ctypes.create_string_buffer(rows, len(rows))
    return ctypes.CDLL(None).recvmmsg(descriptor, block, 2, 0, None)


def test_datagrams_that_are_refused_are_told_with_the_reason(calls, collect):
    port = free_port()
    with datagram_socket(port=None) as here:
        here.connect(("127.0.0.1", port))
        here.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            here.recv(1)
        records = collect(calls, lambda records: failed(records, port))
    (flow,) = failed(records, port)
    assert (flow.protocol, flow.error) == (UDP, 111)


def failed(records, port):
    to = [r for r in records if type(r) is Connection and r.remote_port == port]
    return [r for r in to if not r.established]


@pytest.mark.parametrize("protocol", [UDP, UDPLITE])
def test_a_port_for_datagrams_is_told(calls, collect, protocol):
    port = free_port()
    with suppress(OSError), datagram_socket(port=port, protocol=protocol):
        (opened,) = listens(collect(calls, lambda records: listens(records, port)), port)
        assert (opened.protocol, opened.local_ip, opened.key.pid) == (
            protocol,
            "127.0.0.1",
            os.getpid(),
        )


def test_a_socket_that_lets_the_kernel_choose_a_port_opens_none(calls, collect):
    with datagram_socket() as chosen, datagram_socket(port=free_port()) as asked:
        wanted = asked.getsockname()[1]
        records = collect(calls, lambda records: listens(records, wanted))
        assert listens(records, wanted)
        assert not listens(records, chosen.getsockname()[1])


def listens(records, port):
    return [r for r in records if type(r) is Listen and r.local_port == port]


def test_a_listener_of_a_moment_shows_the_port_that_it_was_given(calls, collect):
    with socket.socket() as listener:
        listener.listen()
        port = listener.getsockname()[1]
    records = collect(calls, lambda records: listens(records, port))
    (opened,) = listens(records, port)
    assert (opened.protocol, opened.key.pid) == (TCP, os.getpid())


NO_ROUTE = """
import ctypes, socket
assert ctypes.CDLL(None).unshare(0x40000000) == 0  # CLONE_NEWNET: a network without routes
with socket.socket({family}) as one:
    try:
        one.connect(({address!r}, 8080))
    except OSError as error:
        print(error.errno)
"""


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "192.0.2.77"), (socket.AF_INET6, "2001:db8::77")]
)
def test_a_connect_without_a_route_is_told(calls, collect, family, address):
    script = NO_ROUTE.format(family=int(family), address=address)
    output = subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=20, capture_output=True, text=True
    ).stdout
    records = collect(
        calls, lambda records: [r for r in failed(records, 8080) if r.remote_ip == address]
    )
    (tried,) = [r for r in failed(records, 8080) if r.remote_ip == address]
    assert tried.error == int(output)
    assert (tried.direction, tried.protocol, tried.family) == ("outbound", TCP, family)


def test_a_refused_connect_is_told_once_and_with_the_reason(calls, collect):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with socket.socket() as one, pytest.raises(ConnectionRefusedError):
            one.connect(("127.0.0.1", port))
        with datagram_socket(port=None) as last:  # told after all of it
            last.sendto(b"x", ("127.0.0.1", port))
            records = collect(
                calls,
                lambda records: [flow for flow in flows(records, port) if flow.protocol == UDP],
            )
    (tried,) = [r for r in failed(records, port) if r.protocol == TCP]
    assert tried.error == 111


@pytest.mark.parametrize(
    ("family", "kind", "protocol", "told"),
    [
        (socket.AF_INET, socket.SOCK_RAW, 1, 1),
        (socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 58, 58),
        (socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3), 3),
        (socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x800), 0x800),
        (socket.AF_INET, 10, socket.htons(3), socket.htons(3)),
    ],
)
def test_raw_and_packet_sockets_are_told(calls, collect, family, kind, protocol, told):
    socket.socket(family, kind, protocol).close()
    records = collect(calls, raw)
    (found,) = raw(records)
    assert (found.family, found.type, found.protocol) == (family, kind & 15, told)


def raw(records):
    return [r for r in records if type(r) is RawSocket and r.key.pid == os.getpid()]


def test_a_raw_socket_by_a_32_bit_call_is_told(calls, collect):
    command = [sys.executable, str(REACHING), "raw_socket_32", str(os.getpid())]
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    if program.wait(30) == -signal.SIGSEGV:
        pytest.skip("this kernel takes no 32-bit system calls (CONFIG_IA32_EMULATION)")

    def own(records):
        return [r for r in records if type(r) is RawSocket and r.key.pid == program.pid]

    (found,) = own(collect(calls, own))
    assert (found.family, found.type, found.protocol) == (socket.AF_INET, socket.SOCK_RAW, 1)


def test_sockets_of_ping_and_of_netlink_are_not_raw(calls, collect):
    with suppress(PermissionError):
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1).close()
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()
    socket.socket(socket.AF_UNIX, socket.SOCK_RAW).close()
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()
    (found,) = raw(collect(calls, raw))
    assert found.family == socket.AF_INET


def dns(records):
    return [r for r in records if type(r) is DnsMessage and r.key.pid == os.getpid()]


@pytest.fixture
def name_server():
    """Answers each query with the same bytes, by UDP and TCP, on an address of loopback."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket() as tcp,
    ):
        udp.bind(PORT_53)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind(PORT_53)
        tcp.listen()
        stop = threading.Event()
        worker = threading.Thread(target=serve, args=(udp, tcp, stop), daemon=True)
        worker.start()
        yield
        stop.set()
        worker.join(5)


def serve(udp, tcp, stop):
    while not stop.is_set():
        for one in select.select([udp, tcp], [], [], 0.05)[0]:
            if one is udp:
                query, client = udp.recvfrom(512)
                udp.sendto(answer(query), client)
            else:
                with tcp.accept()[0] as taken:
                    query = taken.recv(512)
                    data = answer(query[2:])
                    taken.sendall(len(data).to_bytes(2, "big") + data)


def answer(query):
    return query[:2] + b"\x81\x80" + query[4:6] + b"\0\1\0\0\0\0" + query[12:] + ANSWER


ANSWER = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x50"
ASKERS = {
    "sendto, recvfrom": (lambda s: s.sendto(QUERY, PORT_53), lambda s: s.recvfrom(512)),
    "sendto, recv": (lambda s: s.sendto(QUERY, PORT_53), lambda s: s.recv(512)),
    "sendmsg, recvmsg": (lambda s: s.sendmsg([QUERY], [], 0, PORT_53), lambda s: s.recvmsg(512)),
    "connect, send, recv": (lambda s: (s.connect(PORT_53), s.send(QUERY)), lambda s: s.recv(512)),
    "connect, write, read": (
        lambda s: (s.connect(PORT_53), os.write(s.fileno(), QUERY)),
        lambda s: os.read(s.fileno(), 512),
    ),
}


@pytest.mark.parametrize("way", ASKERS)
def test_queries_and_answers_by_udp(calls, collect, name_server, way):
    ask, hear = ASKERS[way]
    with datagram_socket(port=None) as one:
        ask(one)
        hear(one)
    sent, got = pair(collect, calls)
    assert (sent.payload, got.payload) == (QUERY, answer(QUERY))
    assert (sent.server_ip, sent.server_port, sent.protocol) == (*PORT_53, UDP)
    assert (got.server_ip, got.direction) == (PORT_53[0], "inbound")


def pair(collect, calls):
    """The query, and the answer that has more than the length of one."""

    def both(records):
        found = of_client(records)
        return any(r.direction == "inbound" and len(r.payload) > 2 for r in found)

    found = of_client(collect(calls, both))
    sent = [r for r in found if r.direction == "outbound"]
    got = [r for r in found if r.direction == "inbound" and len(r.payload) > 2]
    return sent[0], got[0]


def of_client(records):
    return [r for r in dns(records) if r.server_port == 53]


def test_an_answer_that_is_only_looked_at_is_told_when_it_is_got(calls, collect, name_server):
    with datagram_socket(port=None) as one:
        one.sendto(QUERY, PORT_53)
        one.recvfrom(512, socket.MSG_PEEK)
        one.recvmsg(512, 0, socket.MSG_PEEK)
        assert one.recv_into(bytearray(20), 20, socket.MSG_TRUNC) > 20
        one.sendto(QUERY + b"\0", PORT_53)  # what comes after it
        one.recv(512)
        whole = answer(QUERY + b"\0")
        records = collect(calls, lambda records: any(r.payload == whole for r in dns(records)))
    got = [r.payload for r in of_client(records) if r.direction == "inbound"]
    assert got == [answer(QUERY)[:20], whole]


def test_queries_and_answers_by_tcp(calls, collect, name_server):
    with socket.create_connection(PORT_53, 5) as one:
        os.writev(one.fileno(), [len(QUERY).to_bytes(2, "big"), QUERY])  # as glibc does
        assert one.recv(2)
        one.recv(512)
    sent, got = pair(collect, calls)
    assert (sent.payload, sent.protocol) == (QUERY, TCP)
    assert got.payload == answer(QUERY)


def test_what_goes_to_other_ports_is_nobodys_business(calls, collect, name_server):
    with datagram_socket() as other, datagram_socket(port=None) as one:
        one.sendto(QUERY, other.getsockname())
        one.sendto(QUERY + b"\0", PORT_53)
        records = collect(calls, of_client)
    assert [r.payload for r in of_client(records)] == [QUERY + b"\0"]


class Terminal:
    """A program at a pseudo-terminal of its own."""

    def __init__(self, *argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["PS1"] = "$ "
            os.execvp(argv[0], argv)

    @property
    def name(self):
        return Path(f"/proc/{self.pid}/fd/0").readlink().relative_to("/dev")

    def await_text(self, text, seconds=10.0):
        seen = b""
        deadline = time.monotonic() + seconds
        while text not in seen and time.monotonic() < deadline:
            if select.select([self.fd], [], [], 0.1)[0]:
                seen += os.read(self.fd, 4096)
        assert text in seen
        return seen

    def type(self, data):
        os.write(self.fd, data)

    def close(self):
        with suppress(OSError):
            os.close(self.fd)
        os.waitpid(self.pid, 0)


def typed(records, pid):
    found = [r for r in records if type(r) is ConsoleInput and r.key.pid == pid]
    return b"".join(r.data for r in found if r.source == "tty")


def test_what_is_typed_into_a_shell_that_edits_lines(calls, collect, mark):
    with closing(Terminal("bash", "--norc", "-i")) as terminal:
        terminal.await_text(b"$ ")
        terminal.type(f"echo {mark}x\x7f\r".encode())
        terminal.await_text(f"{mark}\r\n".encode())
        wanted = f"echo {mark}x\x7f\r".encode()
        records = collect(calls, lambda records: wanted in typed(records, terminal.pid))
        assert wanted in typed(records, terminal.pid)
        inputs = [r for r in records if type(r) is ConsoleInput and r.key.pid == terminal.pid]
        assert inputs[0].name == str(terminal.name)
        assert not inputs[0].cooked


def test_what_is_typed_into_a_shell_that_leaves_editing_to_the_terminal(calls, collect, mark):
    with closing(Terminal("dash", "-i")) as terminal:
        terminal.await_text(b"$ ")
        terminal.type(f"echo {mark}x\x7f\n".encode())
        terminal.await_text(f"{mark}\r\n".encode())
        wanted = f"echo {mark}\n".encode()
        records = collect(calls, lambda records: wanted in typed(records, terminal.pid))
        assert wanted in typed(records, terminal.pid)
        inputs = [r for r in records if type(r) is ConsoleInput and r.key.pid == terminal.pid]
        assert inputs[0].cooked


def test_any_program_at_a_terminal_is_told_and_by_readv_too(calls, collect, mark):
    code = "import os; b = bytearray(99); print('ready'); print(os.readv(0, [b]), b[:9])"
    with closing(Terminal(sys.executable, "-c", code)) as terminal:
        terminal.await_text(b"ready")
        terminal.type(f"{mark}\n".encode())
        records = collect(calls, lambda records: mark.encode() in typed(records, terminal.pid))
        assert typed(records, terminal.pid) == f"{mark}\n".encode()


def test_passwords_are_not_read(calls, collect, mark):
    code = "import getpass; print(getpass.getpass('secret: ') == 'x'); input('open: ')"
    with closing(Terminal(sys.executable, "-c", code)) as terminal:
        terminal.await_text(b"secret: ")
        terminal.type(f"{mark}-hidden\n".encode())
        terminal.await_text(b"open: ")
        terminal.type(f"{mark}-shown\n".encode())
        wanted = f"{mark}-shown".encode()
        records = collect(calls, lambda records: wanted in typed(records, terminal.pid))
        assert typed(records, terminal.pid) == wanted + b"\n"
    everything = b"".join(r.data for r in records if type(r) is ConsoleInput)
    assert f"{mark}-hidden".encode() not in everything


def test_an_interrupted_line_is_marked(calls, collect, mark):
    with closing(Terminal("dash", "-i")) as terminal:
        terminal.await_text(b"$ ")
        terminal.type(f"{mark}\x03".encode())
        records = collect(calls, lambda records: typed(records, terminal.pid))
        assert typed(records, terminal.pid) == b"\x03"
        assert termios.tcgetattr(terminal.fd)


def piped(records, mark):
    found = [r for r in records if type(r) is ConsoleInput and r.source != "tty"]
    pids = {r.key.pid for r in found if mark.encode() in r.data}
    return [r for r in found if r.key.pid in pids]


SHELLS = ["sh", "bash", "dash", sys.executable]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_that_comes_by_a_pipe(calls, collect, mark, shell):
    script = f"#{mark}\n" * 30 + "exit()\n" * (shell == sys.executable)
    subprocess.run([shell], input=script.encode(), check=True, timeout=20)
    found = piped(collect(calls, lambda records: is_over(piped(records, mark))), mark)
    assert b"".join(r.data for r in found) == script.encode()
    assert {r.source for r in found} == {"pipe"}


def is_over(inputs):
    return any(r.end or r.data.endswith(b"exit()\n") for r in inputs)


def test_commands_that_come_by_a_socket(calls, collect, mark):
    here, there = socket.socketpair()
    with here, there:
        shell = subprocess.Popen(["bash", "-i"], stdin=there, stdout=there, stderr=there)
        here.sendall(f"echo {mark}\n".encode())
        records = collect(calls, lambda records: piped(records, mark))
        here.sendall(b"exit\n")
        shell.wait(10)
    (first, *_) = piped(records, mark)
    assert (first.source, first.key.pid) == ("socket", shell.pid)
    assert f"echo {mark}\n".encode() in first.data


def test_of_a_long_script_the_rest_is_counted(calls, collect, mark):
    script = f"#{mark}\n".encode() + b"#" * 99 + b"\n"
    script += (b"# " + b"x" * 97 + b"\n") * 1000
    subprocess.run(["bash"], input=script, check=True, timeout=20)
    records = collect(calls, lambda records: [r for r in piped(records, mark) if r.end])
    found = piped(records, mark)
    told = b"".join(r.data for r in found)
    assert 16000 < len(told) <= 16384
    assert script.startswith(told)
    assert len(told) + sum(r.untold for r in found) == len(script)


def test_what_other_programs_read_from_a_pipe_is_not_read(calls, collect, mark):
    subprocess.run(["cat"], input=mark.encode(), check=True, timeout=20, stdout=subprocess.DEVNULL)
    subprocess.run(["sh"], input=f"#last-{mark}\n".encode(), check=True, timeout=20)
    records = collect(calls, lambda records: is_over(piped(records, f"last-{mark}")))
    told = b"".join(r.data for r in piped(records, mark))
    assert told == f"#last-{mark}\n".encode()
