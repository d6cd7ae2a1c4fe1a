"""A file system in user space whose files hang as wanted: ``python fuse.py FOLDER``, as root.

``good`` can be read; opening ``hang-open`` never ends, nor does reading more than a page of
``hang-read``. Prints a line when it is mounted; its end (that of its standard input) aborts what
hangs. Layouts from the kernel's uapi header linux/fuse.h, protocol 7.31.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import threading

CONTENT = b"#!" + bytes(range(256)) * 256
NODES = {b"good": 2, b"hang-open": 3, b"hang-read": 4}
LOOKUP, GETATTR, OPEN, READ, FLUSH, RELEASE, INIT = 1, 3, 14, 15, 25, 18, 26
UNANSWERED = (2, 42, 36)  # FORGET, BATCH_FORGET, INTERRUPT
IN = struct.Struct("<IIQQIIII")
OUT = struct.Struct("<IiQ")
LONG = 3600
DIRECT_IO = 1


def main() -> None:
    folder = sys.argv[1]
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hanging", folder.encode(), b"fuse", 6, options) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    threading.Thread(target=serve, args=(device,), daemon=True).start()
    print("mounted", flush=True)
    sys.stdin.read()
    libc.umount2(folder.encode(), 2)


def serve(device: int) -> None:
    while True:
        request = os.read(device, 1 << 18)
        _, opcode, unique, node, *_ = IN.unpack_from(request)
        if opcode in UNANSWERED:
            continue
        error, answer = reply(opcode, node, request[IN.size :])
        if answer is not None:
            os.write(device, OUT.pack(OUT.size + len(answer), -error, unique) + answer)


def reply(opcode: int, node: int, body: bytes) -> tuple[int, bytes | None]:
    if opcode == INIT:
        return 0, struct.pack("<IIIIHHIIHHI7I", 7, 31, 1 << 16, 0, 8, 8, 1 << 16, 1, 16, *[0] * 9)
    if opcode == LOOKUP:
        found = NODES.get(body.rstrip(b"\0"))
        if found is None:
            return 2, b""
        return 0, struct.pack("<QQQQII", found, 0, LONG, LONG, 0, 0) + attributes(found)
    if opcode == GETATTR:
        return 0, struct.pack("<QII", LONG, 0, 0) + attributes(node)
    if opcode == OPEN:
        return 0, None if node == NODES[b"hang-open"] else struct.pack("<QII", 1, DIRECT_IO, 0)
    if opcode == READ:
        _, offset, size = struct.unpack_from("<QQI", body)
        hangs = node == NODES[b"hang-read"] and size > 4096
        return 0, None if hangs else CONTENT[offset : offset + size]
    return (0 if opcode in (FLUSH, RELEASE) else 38), b""


def attributes(node: int) -> bytes:
    size, mode = (0, 0o040755) if node == 1 else (len(CONTENT), 0o100755)
    times = (1_700_000_000,) * 3
    return struct.pack("<6Q10I", node, size, 8, *times, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


if __name__ == "__main__":
    main()
