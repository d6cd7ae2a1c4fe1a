from __future__ import annotations

from pathlib import Path

import pytest
from tests.siem.services.host.test_home import ID, version

from deodar.kit.directory import StateDirectory
from deodar.kit.errors import SettingsError
from deodar.siem.services.host.home import open_service
from deodar.siem.services.host.source import FromCore, OwnFile
from deodar.siem.setup import Source, add_collector


def test_a_collector_of_the_cores_host_reads_its_file_again(siem):
    made = add_collector(siem, "kedr", Source(urls=("edr:9443",), insecure=True))
    folder = StateDirectory(Path(made.folder))
    source = OwnFile(folder)
    assert source.current().name == "kedr"
    text = folder.read("collector.toml").decode()
    folder.write("collector.toml", text.replace("edr:9443", "other:9443").encode())
    assert source.take(None).connector.urls == ["other:9443"]
    folder.write("collector.toml", b"nonsense")
    with pytest.raises(SettingsError):
        source.take(None)


def test_a_paired_one_keeps_what_has_proved_itself(tmp_path):
    source = FromCore(open_service(tmp_path / "service", "core", ID, 0))
    assert source.current() is None
    taken = source.take(version(1))
    assert source.current() is None
    source.keep(taken)
    assert source.current() == taken
    with pytest.raises(ValueError, match="from the core"):
        source.take(None)
