from __future__ import annotations

import stat

import pytest

from deodar.kit.errors import SettingsError, StateError
from deodar.siem.services.host.home import (
    CERTIFICATE,
    RECOVERY,
    checked_id,
    default_folder,
    open_service,
)
from deodar.siem.services.wire import Issued, SetSettings

ID = "00000000-0000-4000-8000-000000000001"
TEXT = """\
name = "branch-1"
service_id = "00000000-0000-4000-8000-000000000001"
tenant_id = "t"
set_version = {0}
core = {{ url = "https://core:7210" }}

[connector]
kind = "kata/edr"
urls = ["edr:443"]
external_id = "00000000-0000-4000-8000-000000000002"
secret = "versions/{0}/secret.pem"
insecure = true
"""


@pytest.fixture
def home(tmp_path):
    return open_service(tmp_path / "service", "core:7210", ID, 7221)


def version(number: int, text: str = TEXT) -> SetSettings:
    files = {"secret.pem": b"pem %d" % number}
    return SetSettings(number, text.format(number), f"versions/{number}", files)


def test_a_folder_is_of_one_service(home, tmp_path):
    again = open_service(tmp_path / "service", "https://core:7210", ID, 7221)
    assert again.settings == home.settings
    with pytest.raises(StateError, match="is the folder of the service"):
        open_service(tmp_path / "service", "core", ID.replace("1", "2"), 0)
    moved = open_service(tmp_path / "service", "other:7210", ID, 7222)
    assert moved.settings.core == "https://other:7210"


@pytest.mark.parametrize(("core", "id_"), [("http://core", ID), ("core", "../x"), ("", ID)])
def test_what_cannot_be_is_told(tmp_path, core, id_):
    with pytest.raises(SettingsError):
        open_service(tmp_path / "service", core, id_, 0)


def test_an_id_is_a_uuid_and_names_the_folder():
    assert checked_id(ID.upper()) == ID
    assert default_folder(ID).name == f"collector-{ID}"


def test_keys_and_proofs_are_the_owners_alone(home):
    assert not home.paired
    home.keep_certificate(Issued("branch-1", "cert", "authority", "proof"), b"key", "digest")
    assert home.paired
    assert home.was_paired_by("digest")
    assert not home.was_paired_by("other")
    assert home.settings.name == "branch-1"
    for name in (CERTIFICATE, RECOVERY):
        assert stat.S_IMODE((home.folder.path / name).stat().st_mode) == 0o600


def test_a_version_is_staged_beside_the_one_that_runs(home):
    assert home.current() is None
    home.stage(version(1))
    home.keep(1)
    staged = home.stage(version(2))
    assert staged.set_version == 2
    assert home.current().set_version == 1
    assert home.folder.read("versions/2/secret.pem") == b"pem 2"
    home.keep(2)
    assert home.current().set_version == 2


def test_old_versions_go(home):
    for number in range(1, 6):
        home.stage(version(number))
        home.keep(number)
    left = {path.name for path in (home.folder.path / "versions").iterdir()}
    assert left == {"4", "5"}


def test_what_cannot_run_here_is_refused_and_changes_nothing(home):
    home.stage(version(1))
    home.keep(1)
    with pytest.raises(SettingsError, match="insecure"):
        home.stage(version(2, TEXT.replace("insecure = true", "insecure = 1")))
    for changes in ({"folder": "../../etc"}, {"files": {"../x": b""}}):
        good = version(3)
        bad = SetSettings(**{**{k: getattr(good, k) for k in good.__struct_fields__}, **changes})
        with pytest.raises(SettingsError):
            home.stage(bad)
    assert home.current().set_version == 1
    assert not (home.folder.path.parent / "x").exists()
