from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deodar.kit.directory import StateDirectory
from deodar.kit.errors import DeodarError, SettingsError, StateError
from deodar.siem.settings import SiemSettings, load_collector
from deodar.siem.setup import Source, add_collector, add_collector_of, core_url, init_siem
from deodar.tls.certificates import (
    Purpose,
    check_issued,
    der,
    fingerprint,
    load_pair,
    make_authority,
    subject_name,
)

SOURCE = Source(urls=("edr:9443",), pins=("AB:" * 31 + "AB",), max_timeout=0.5)


@pytest.fixture
def siem(tmp_path):
    return init_siem(tmp_path / "siem", "127.0.0.1", 7210, "")


def test_keys_are_readable_by_their_owner_alone(siem):
    add_collector(siem, "kedr", SOURCE)
    secrets = [*siem.path.rglob("*.key"), siem.path / "core.pem"]
    secrets += [siem.path / "collectors/kedr" / name for name in ("secret.pem", "core-client.pem")]
    assert len(secrets) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}


def test_a_siem_is_not_set_up_twice(siem):
    before = siem.read("authority.pem")
    with pytest.raises(StateError, match="already"):
        init_siem(siem.path, "127.0.0.1", 7210, "")
    assert siem.read("authority.pem") == before


def test_a_collector_gets_an_identity_of_its_own_and_one_for_the_core(siem):
    made = add_collector(siem, "kedr", SOURCE)
    folder = StateDirectory(Path(made.folder))
    settings = load_collector(folder.path / "collector.toml")
    assert settings.connector.external_id == made.external_id
    assert settings.connector.pins == ["ab" * 32]
    assert settings.connector.max_timeout == 0.5
    assert fingerprint(load_pair(folder.read("secret.pem")).certificate) == made.certificate_sha256
    client = load_pair(folder.read("core-client.pem")).certificate
    now = datetime.now(UTC)
    assert check_issued(der(client), siem.read("authority.pem"), now, Purpose.CLIENT) is None
    assert subject_name(client) == "collector kedr"


def test_two_collectors_share_nothing(siem):
    first, second = (add_collector(siem, name, SOURCE) for name in ("a", "b"))
    assert first.external_id != second.external_id
    assert first.certificate_sha256 != second.certificate_sha256


def test_the_servers_authority_is_copied_into_the_collectors_folder(siem, tmp_path):
    authority = tmp_path / "edr.pem"
    authority.write_bytes(make_authority("edr").certificate)
    made = add_collector(siem, "kedr", Source(urls=("edr:9443",), ca=authority))
    assert (Path(made.folder) / "edr-authority.pem").read_bytes() == authority.read_bytes()


@pytest.mark.parametrize(
    ("name", "source", "error"),
    [
        ("kedr", Source(urls=("a b",)), SettingsError),
        ("../x", SOURCE, SettingsError),
        ("kedr", Source(urls=("edr",), ca=Path("/absent.pem")), SettingsError),
        ("kedr", Source(urls=("edr",), ca=Path("/etc/hostname")), DeodarError),
        ("kedr", Source(urls=("edr",), max_timeout=10, client_timeout=5), SettingsError),
    ],
)
def test_a_source_that_cannot_be_leaves_nothing_behind(siem, name, source, error):
    with pytest.raises(error):
        add_collector(siem, name, source)
    assert not list((siem.path / "collectors").glob("*")) or not siem.has("collectors")
    add_collector(siem, "kedr", SOURCE)


def test_a_collector_is_not_made_twice(siem):
    add_collector(siem, "kedr", SOURCE)
    with pytest.raises(StateError, match="kedr already"):
        add_collector(siem, "kedr", SOURCE)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "https://127.0.0.1:7210"),
        ("0.0.0.0", "https://127.0.0.1:7210"),
        ("::", "https://[::1]:7210"),
        ("fd00::1", "https://[fd00::1]:7210"),
        ("siem.example", "https://siem.example:7210"),
    ],
)
def test_collectors_reach_the_core_where_it_listens(host, url):
    assert core_url(SiemSettings(tenant_id="t", host=host)) == url


def test_a_collector_of_another_kind_is_made_whole_or_not_at_all(siem):
    made = add_collector_of(siem, "logs", {"kind": "file", "paths": ["/var/log/x"]})
    settings = load_collector(Path(made.folder) / "collector.toml")
    assert (settings.connector.kind, settings.normalizer) == ("file", "raw")
    assert (Path(made.folder) / "core-client.pem").is_file()
    for table in ({"kind": "file", "paths": []}, {"kind": "file"}, {}):
        with pytest.raises(SettingsError):
            add_collector_of(siem, "other", table)
    assert not (siem.path / "collectors" / "other").exists()
