from __future__ import annotations

import json
from pathlib import Path

import pytest

from deodar.agent.enrich.containers import LARGEST, TRY_AGAIN, UNKNOWN, Container, Containers

ID = "0123456789abcdef" * 4


def write(root: Path, name: str, content: object) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


DOCKER = {"ID": ID, "Name": "/web", "Config": {"Image": "nginx:1.27"}, "Image": "sha256:0"}
BUNDLE = {
    "ociVersion": "1.1.0",
    "annotations": {
        "io.kubernetes.cri.container-name": "app",
        "io.kubernetes.cri.image-name": "registry.example.net/app:2",
    },
}
STORAGE = [
    {"id": "f" * 64, "names": ["other"], "metadata": "{}"},
    {"id": ID, "names": ["db"], "image": "0", "metadata": json.dumps(
        {"image-name": "docker.io/library/postgres:16", "name": "db"})},
]  # fmt: skip
STORED = "var/lib/containers/storage/overlay-containers/containers.json"
TASKS = "run/containerd/io.containerd.runtime.v2.task"


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        (f"var/lib/docker/containers/{ID}/config.v2.json", DOCKER, Container("web", "nginx:1.27")),
        (f"{TASKS}/k8s.io/{ID}/config.json", BUNDLE,
         Container("app", "registry.example.net/app:2")),
        (STORED, STORAGE, Container("db", "docker.io/library/postgres:16")),
    ],
)  # fmt: skip
def test_each_runtime_tells_name_and_image(tmp_path, file, content, found):
    write(tmp_path, file, content)
    assert Containers(tmp_path).of(ID) == found
    assert Containers(tmp_path).of("e" * 64) is UNKNOWN


def test_a_machine_of_systemd(tmp_path):
    text = "NAME=web\nCLASS=container\nROOT=/var/lib/machines/web\nLEADER=7\n"
    write(tmp_path, "run/systemd/machines/web", text)
    assert Containers(tmp_path).of("web") == Container("web", "/var/lib/machines/web")


@pytest.mark.parametrize("content", ["{", "[]", '{"Name": null}', "null", "x" * (LARGEST + 1)])
def test_what_cannot_be_read_is_not_known(tmp_path, content):
    write(tmp_path, f"var/lib/docker/containers/{ID}/config.v2.json", content)
    write(tmp_path, STORED, content)
    write(tmp_path, f"{TASKS}/moby/{ID}/config.json", content)
    assert Containers(tmp_path).of(ID) is UNKNOWN


def test_what_was_found_is_kept_and_what_was_not_is_tried_again(tmp_path):
    now = [100.0]
    containers = Containers(tmp_path, lambda: now[0])
    assert containers.of(ID) is UNKNOWN
    file = f"var/lib/docker/containers/{ID}/config.v2.json"
    write(tmp_path, file, DOCKER)
    assert containers.of(ID) is UNKNOWN
    now[0] += TRY_AGAIN
    assert containers.of(ID).name == "web"
    (tmp_path / file).unlink()
    now[0] += 10 * TRY_AGAIN
    assert containers.of(ID).name == "web"


def test_no_container_is_not_looked_for(tmp_path):
    assert Containers(tmp_path).of("") is UNKNOWN
