"""A cluster of three NATS servers with JetStream, as processes of the tests' own."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nats
from nats.errors import Error as NatsError

from deodar.kit.children import Child

PROGRAM = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class NatsCluster:
    """The servers `n1` and so on; with one of them it is no cluster."""

    def __init__(self, folder: Path, count: int = 3, extra: str = "") -> None:
        self.ports = [free_port() for _ in range(count)]
        routes = [free_port() for _ in range(count)]
        self.children = []
        for number in range(count):
            name = f"n{number + 1}"
            others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
            cluster = (
                f"cluster {{ name: c, listen: 127.0.0.1:{routes[number]}, routes: [{others}] }}\n"
            )
            text = (
                f"server_name: {name}\nlisten: 127.0.0.1:{self.ports[number]}\n"
                f'jetstream {{ store_dir: "{folder / name}", max_file_store: 2G }}\n'
                f"{cluster if count > 1 else ''}{extra}"
            )
            (folder / f"{name}.conf").write_text(text)
            command = [PROGRAM, "-c", str(folder / f"{name}.conf")]
            self.children.append(Child(name, command, folder))

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(f"nats://127.0.0.1:{port}" for port in self.ports)

    def start(self) -> NatsCluster:
        for child in self.children:
            child.start()
        with ThreadPoolExecutor(1) as thread:  # tests may have an event loop of their own here
            thread.submit(asyncio.run, self._ready()).result()
        return self

    def stop(self) -> None:
        for child in self.children:
            if child.alive:
                child.kill()

    async def _ready(self) -> None:
        """Wait until a stream with as many replicas as there are servers can be made."""
        async with asyncio.timeout(40):
            while True:
                try:
                    client = await nats.connect(
                        list(self.urls), connect_timeout=1, allow_reconnect=False, error_cb=_ignore
                    )
                    stream = client.jetstream(timeout=2)
                    replicas = len(self.ports)
                    await stream.add_stream(name="probe", subjects=["p"], num_replicas=replicas)
                    await stream.delete_stream("probe")
                    await client.close()
                except (NatsError, OSError, TimeoutError):
                    await asyncio.sleep(0.1)
                else:
                    return


async def _ignore(_error: Exception) -> None:
    pass
