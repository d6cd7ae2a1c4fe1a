from __future__ import annotations

import stat

import msgspec
import pytest

from deodar.edr import installation as installations
from deodar.edr.errors import EdrError
from deodar.edr.settings import EdrSettings
from deodar.kit.errors import SettingsError, StateError
from deodar.tls import certificates


def test_what_was_made_can_be_opened(tmp_path, settings):
    made = installations.init(tmp_path / "edr", settings)
    assert installations.open_(tmp_path / "edr") == made
    assert made.settings == settings


def test_keys_are_their_owners_alone(installation):
    for name in ("authority.key", "server.key", "token.key"):
        mode = (installation.directory.path / name).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600


def test_the_server_shows_its_authority_and_agents_pin_that(installation):
    chain = certificates.load_certificates(installation.server.certificate)
    assert len(chain) == 2
    assert installation.pin == certificates.fingerprint(installation.authority.certificate)


def test_a_folder_is_not_made_twice(installation, settings):
    before = installation.directory.read("authority.pem")
    with pytest.raises(EdrError, match="already"):
        installations.init(installation.directory.path, settings)
    assert installation.directory.read("authority.pem") == before


def test_a_folder_that_was_not_finished_can_be_made_again(tmp_path, settings):
    made = installations.init(tmp_path / "edr", settings)
    (made.directory.path / installations.SETTINGS).unlink()
    with pytest.raises(EdrError, match="deodar edr init"):
        installations.open_(tmp_path / "edr")
    assert installations.init(tmp_path / "edr", settings).pin != made.pin


def test_what_is_missing_or_damaged_is_named(tmp_path, installation):
    with pytest.raises(StateError, match="deodar edr init"):
        installations.open_(tmp_path / "nowhere")
    path = installation.directory.path
    (path / "token.key").write_bytes(b"short")
    with pytest.raises(EdrError, match=r"token\.key"):
        installations.open_(path)
    (path / installations.SETTINGS).write_text("prot = 1")
    with pytest.raises(SettingsError, match="port"):
        installations.open_(path)


def test_agents_are_told_the_first_name_and_the_real_port(installation):
    assert installation.url == "https://127.0.0.1:0"
    installation.directory.write(installations.ADDRESS, b"https://127.0.0.1:4711\n")
    assert installation.url == "https://127.0.0.1:4711"
    settings = EdrSettings(names=("fe80::1",))
    assert msgspec.structs.replace(settings).names == ("fe80::1",)
    other = installations.Installation(
        installation.directory,
        settings,
        installation.authority,
        installation.server,
        installation.token_key,
        "x",
    )
    assert other.url_at(1) == "https://[fe80::1]:1"


def test_the_store_and_the_database_are_in_the_folder_unless_elsewhere(tmp_path, installation):
    assert installation.store_url == f"chdb://{tmp_path}/edr/store"
    installation.database().close()
    assert (tmp_path / "edr" / "edr.db").exists()
