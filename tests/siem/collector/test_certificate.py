from __future__ import annotations

import zipfile

import pytest

from deodar.kit.directory import StateDirectory
from deodar.kit.errors import DeodarError, SettingsError
from deodar.siem.collector.certificate import BEFORE, make, read, replace
from deodar.tls.certificates import fingerprint, self_signed

OWN = self_signed("own")


def test_two_files_one_file_and_an_archive_are_read(tmp_path):
    (tmp_path / "cert.pem").write_bytes(OWN.certificate)
    (tmp_path / "key.pem").write_bytes(OWN.key)
    (tmp_path / "both.pem").write_bytes(OWN.pem)
    with zipfile.ZipFile(tmp_path / "certificate.zip", "w") as archive:
        for name in ("cert.pem", "key.pem"):
            archive.write(tmp_path / name, name)
    for found in (
        read(tmp_path / "cert.pem", tmp_path / "key.pem"),
        read(tmp_path / "both.pem", None),
        read(tmp_path / "certificate.zip", None),
    ):
        assert fingerprint(found.certificate) == fingerprint(OWN.certificate)


def test_what_cannot_be_read_or_does_not_fit_is_told(tmp_path):
    with pytest.raises(SettingsError, match="absent"):
        read(tmp_path / "absent", None)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(SettingsError, match=r"cert\.pem and key\.pem"):
        read(tmp_path / "other.zip", None)
    (tmp_path / "cert.pem").write_bytes(OWN.certificate)
    (tmp_path / "key.pem").write_bytes(self_signed("other").key)
    with pytest.raises(DeodarError):
        read(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_the_former_one_is_kept(tmp_path):
    home = StateDirectory(tmp_path)
    first, second = make("kedr"), make("kedr")
    assert fingerprint(first.certificate) != fingerprint(second.certificate)
    replace(home, "secret.pem", first)
    assert not home.has(BEFORE)
    replace(home, "secret.pem", second)
    assert home.read(BEFORE) == first.pem
    assert (tmp_path / "secret.pem").stat().st_mode & 0o777 == 0o600
