"""A front over an engine, served on loopback by a real uvicorn in a thread."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from deodar.store.front import FrontSettings, front_app
from deodar.store.front_auth import hash_password

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.store.engine import Engine

USER, PASSWORD = "reader", "p:ä ss/w@rd"
HASH = hash_password(PASSWORD)


@contextmanager
def served(engine: Engine, **settings: object) -> Iterator[int]:
    """Serve a front over `engine`; give its port."""
    app = front_app(engine, FrontSettings(USER, HASH, **settings))  # type: ignore[arg-type]
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off", ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise RuntimeError("the front did not start")
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
