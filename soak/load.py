"""The load: programs started one after another, each with its number, and connections beside.

``python -m soak.load FILE RATE MARK`` runs until it is ended and writes one line for each program
to FILE: its number and the monotonic time at which it was started. MARK stands before the number in
the program's argument, so that several runs on one host are kept apart.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path

PROGRAM = "/bin/true"
BURST_EVERY = 15.0
BURST = 300


def main(arguments: list[str]) -> None:
    """Make load until SIGTERM."""
    file, rate, mark = Path(arguments[0]), float(arguments[1]), arguments[2]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_connect, args=(stop,), daemon=True).start()
    rng = random.Random(7)  # noqa: S311 - repeatable, no secret
    burst_at = time.monotonic() + BURST_EVERY
    number = 0
    with file.open("w", buffering=1) as ledger:
        while not stop.is_set():
            count = 1
            if time.monotonic() >= burst_at:
                burst_at, count = time.monotonic() + BURST_EVERY, BURST
            for _ in range(count):
                number += 1
                ledger.write(f"{number} {time.monotonic():.6f}\n")
                _start(f"{mark}{number}")
            stop.wait(rng.expovariate(rate))


def _start(argument: str) -> None:
    words = [PROGRAM, argument]
    os.waitpid(os.posix_spawn(words[0], words, {}), 0)


def _connect(stop: threading.Event) -> None:
    """Connect to a port of this process, and to one where nobody listens, now and then."""
    listener = socket.create_server(("127.0.0.1", 0))
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    while not stop.wait(0.2):
        with socket.create_connection(listener.getsockname()):
            listener.accept()[0].close()
        with socket.socket() as refused:
            refused.connect_ex(silent.getsockname())


if __name__ == "__main__":
    main(sys.argv[1:])
