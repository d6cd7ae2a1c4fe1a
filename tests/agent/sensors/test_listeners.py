"""Listeners that were there before the sensor, from /proc."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from deodar.agent.sensors.listeners import Listener, find, parse
from deodar.agent.sensors.procfs import read_stat

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0
   2: 0100007F:1F90 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0
"""
TABLE_6 = """\
sl local_address remote_address st
0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 9 1
"""


def test_tables_of_proc():
    assert parse(TABLE) == [
        Listener(bytes(10) + b"\xff\xff\x7f\0\0\1", 8080, 4711),
        Listener(bytes(16), 22, 4712),
    ]
    assert parse(TABLE_6) == [Listener(bytes(15) + b"\1", 80, 9)]
    assert parse("") == []


def test_own_listener_is_found_with_its_process():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        found = [
            (endpoint, owner) for endpoint, owner in find()
            if struct.unpack_from("<H", endpoint, 4)[0] == port
        ]  # fmt: skip
    net = Path("/proc/self/ns/net").stat().st_ino
    start = read_stat(os.getpid()).key.start
    assert found == [
        (
            struct.pack("<IHxx16s", net, port, bytes(15) + b"\1"),
            struct.pack("<QIxxxx", start, os.getpid()),
        )
    ]
