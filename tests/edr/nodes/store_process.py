"""A store over the network in a process of its own: an embedded engine behind its HTTP front.

It stands for a ClickHouse server, of which none can be had from Debian, PyPI or npm: the same
engine, spoken to by the same client over the same protocol.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

from tests.edr.nodes.nats_cluster import free_port

from deodar.kit.children import Child

USER, PASSWORD = "deodar", "p/w"


class StoreProcess:
    """The process; it keeps its port and its data when it is started again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        command = [sys.executable, "-m", "tests.edr.nodes.store_process", str(folder)]
        self.child = Child("store", [*command, str(self.port)], folder)

    @property
    def url(self) -> str:
        return f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/default"

    def start(self) -> StoreProcess:
        self.child.start().ready(60)
        return self

    def stop(self) -> None:
        if self.child.alive:
            self.child.kill()


async def serve(folder: Path, port: int) -> None:
    import uvicorn

    from deodar.store.engine import open_engine
    from deodar.store.front import FrontSettings, front_app
    from deodar.store.front_auth import hash_password

    engine = open_engine(f"chdb://{folder / 'data'}")
    app = front_app(engine, FrontSettings(USER, hash_password(PASSWORD), allow_writes=True))
    config = uvicorn.Config(app, "127.0.0.1", port, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    print(json.dumps({"ready": True, "pid": os.getpid()}), flush=True)
    await task


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
