from __future__ import annotations

import msgspec
import pytest

from deodar.kit import settings as files
from deodar.kit.errors import SettingsError
from deodar.siem.connectors.kata_edr_settings import KataEdrSettings
from deodar.siem.settings import (
    CollectorSettings,
    CoreLink,
    FrontSettings,
    SiemSettings,
    check_name,
    load_collector,
    load_siem,
)

COLLECTOR = CollectorSettings(
    name="kedr",
    service_id="s",
    tenant_id="t",
    core=CoreLink(url="https://127.0.0.1:7210"),
    connector=KataEdrSettings(
        urls=["edr:9443"], external_id="7f8a1c1e-5f0d-4d58-9d5a-9f6a2b3c4d5e"
    ),
)
FILE = {"name": "x", "kind": "file", "path": "events"}


def written(tmp_path, value):
    path = tmp_path / "x.toml"
    path.write_text(files.dump(value), "utf-8")
    return path


def test_settings_are_read_back_as_they_were_written(tmp_path):
    for value in (COLLECTOR, msgspec.structs.replace(COLLECTOR, destinations=[FILE])):
        assert load_collector(written(tmp_path, value)) == value
    siem = SiemSettings(tenant_id="t")
    assert load_siem(written(tmp_path, siem)) == siem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "a/b"}, "cannot name a collector"),
        ({"core": CoreLink(url="http://x")}, "core.url"),
        ({"journal_bytes": 1 << 20}, "journal_bytes"),
        (
            {"connector": msgspec.structs.replace(COLLECTOR.connector, max_timeout=1800.0)},
            "client_timeout",
        ),
        ({"destinations": [{"name": "x", "kind": "pigeon"}]}, "no kind of destination"),
        (
            {"destinations": [FILE | {"buffer_bytes": 3 << 30}]},
            "buffer_bytes is at most half of journal_bytes",
        ),
    ],
)
def test_collector_settings_that_do_not_fit_are_refused(tmp_path, change, words):
    path = written(tmp_path, msgspec.structs.replace(COLLECTOR, **change))
    with pytest.raises(SettingsError, match=words):
        load_collector(path)


def test_an_enabled_front_needs_a_password(tmp_path):
    siem = SiemSettings(tenant_id="t", front=FrontSettings(enabled=True))
    with pytest.raises(SettingsError, match=r"front\.password_hash"):
        load_siem(written(tmp_path, siem))


def test_a_name_is_returned_if_it_can_be_a_folders():
    assert check_name("kedr-1") == "kedr-1"
    with pytest.raises(SettingsError):
        check_name("..")


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"filters": [{"name": "f", "code": "Nam = 1"}]}, r"filters\[0\] \(f\): filter, column 1"),
        ({"enrichment": [{"name": "e", "kind": "x"}]}, r"enrichment\[0\]\.kind"),
        ({"aggregation": [{"name": "a", "identical": []}]}, r"aggregation\[0\]"),
        ({"dictionaries": [{"name": "d"}]}, r"dictionaries\[0\]"),
    ],
)
def test_a_stage_that_cannot_be_used_is_told_with_the_file(tmp_path, tables, words):
    path = written(tmp_path, msgspec.structs.replace(COLLECTOR, **tables))
    with pytest.raises(SettingsError, match=f"x.toml: {words}"):
        load_collector(path)
