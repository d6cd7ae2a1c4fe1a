from __future__ import annotations

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from deodar.edr import installation as installations
from deodar.edr.errors import NodeProblem
from deodar.edr.nodes import bundle as bundles
from deodar.edr.settings import EdrSettings, Ingest, Stream

SETTINGS = EdrSettings(
    names=("edr.example",),
    store="clickhouse://db/edr",
    database="postgresql+pg8000://u:p@db/edr",
    ingest=Ingest(stream=Stream(urls=("tls://n1:4222",), ca="nats-ca.pem")),
)


@pytest.fixture
def first(tmp_path) -> installations.Installation:
    made = installations.init(tmp_path / "one", SETTINGS)
    made.directory.write("nats-ca.pem", b"the authority of the NATS servers")
    return made


def test_a_node_from_a_bundle_has_the_same_keys_and_settings(first, tmp_path):
    file = tmp_path / "two.bundle"
    bundles.write(bundles.make(first, "two"), file)
    assert file.stat().st_mode & 0o777 == 0o600
    second = bundles.unpack(bundles.read(file), tmp_path / "two", host="10.0.0.2", port=443)
    for name in ("authority", "server", "token_key", "server_id", "pin"):
        assert getattr(second, name) == getattr(first, name)
    assert second.settings == msgspec.structs.replace(SETTINGS, host="10.0.0.2", port=443)
    assert second.node_name == "two"
    assert second.directory.read("nats-ca.pem") == b"the authority of the NATS servers"
    for name in ("authority.key", "server.key", "token.key"):
        assert (second.directory.path / name).stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_not_written_over(first, tmp_path):
    (tmp_path / "b").write_bytes(b"x")
    with pytest.raises(NodeProblem, match="cannot write"):
        bundles.write(bundles.make(first, "two"), tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"x"


def test_a_folder_that_is_a_server_is_left_alone(first):
    with pytest.raises(NodeProblem, match="there is an EDR server"):
        bundles.unpack(bundles.make(first, "two"), first.directory.path)


def test_a_server_that_is_alone_makes_no_bundle(tmp_path):
    alone = installations.init(tmp_path / "alone", EdrSettings())
    with pytest.raises(NodeProblem, match=r"ingest\.stream\.urls"):
        bundles.make(alone, "two")


@pytest.mark.parametrize("change", [{"format": "x"}, {"name": "a/b"}])
def test_a_bundle_of_another_kind_is_refused(first, tmp_path, change):
    bundles.write(msgspec.structs.replace(bundles.make(first, "two"), **change), tmp_path / "b")
    with pytest.raises(NodeProblem):
        bundles.read(tmp_path / "b")


def test_a_file_outside_the_folder_is_refused(first, tmp_path):
    made = bundles.make(first, "two")
    odd = msgspec.structs.replace(made, files={**made.files, "../x": b""})
    with pytest.raises(NodeProblem, match=r"\.\./x"):
        bundles.unpack(odd, tmp_path / "two")
    short = msgspec.structs.replace(made, files={})
    with pytest.raises(NodeProblem, match=r"the bundle has no authority\.key"):
        bundles.unpack(short, tmp_path / "three")


@settings(deadline=None)
@given(data=st.binary(max_size=200), packed=st.booleans())
def test_what_is_no_bundle_is_told(tmp_path_factory, data, packed):
    file = tmp_path_factory.mktemp("odd") / "b"
    file.write_bytes(zstandard.compress(data) if packed else data)
    with pytest.raises(NodeProblem, match="is no bundle"):
        bundles.read(file)
