from __future__ import annotations

import stat
import threading

import pytest

from deodar.kit.directory import StateDirectory
from deodar.kit.errors import StateError
from deodar.siem.services.sealing import FILE, Sealer, sealer_of


def test_a_secret_comes_back_at_its_place_and_nowhere_else():
    sealer = Sealer(b"k" * 32)
    sealed = sealer.seal(b"secret", "set 1, file a")
    assert b"secret" not in sealed
    assert sealer.open(sealed, "set 1, file a") == b"secret"
    for other, place in ((sealer, "set 2, file a"), (Sealer(b"x" * 32), "set 1, file a")):
        with pytest.raises(StateError, match=FILE):
            other.open(sealed, place)
    with pytest.raises(StateError):
        sealer.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "set 1, file a")


def test_the_same_secret_is_sealed_differently_each_time_and_has_one_identity():
    sealer = Sealer(b"k" * 32)
    assert sealer.seal(b"a", "p") != sealer.seal(b"a", "p")
    assert sealer.identity(b"a") == sealer.identity(b"a") != sealer.identity(b"b")
    assert sealer.identity(b"a") != Sealer(b"x" * 32).identity(b"a")


def test_the_key_is_made_once_by_however_many_and_is_the_owners_alone(tmp_path):
    home = StateDirectory(tmp_path)
    found: list[str] = []

    def work() -> None:
        found.append(sealer_of(home).identity(b"x"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_damaged_key_is_told(tmp_path):
    (tmp_path / FILE).write_bytes(b"short")
    with pytest.raises(StateError, match="damaged"):
        sealer_of(StateDirectory(tmp_path))
