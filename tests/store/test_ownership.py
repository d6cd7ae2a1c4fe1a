"""A folder that cannot be held; that it is held is shown with the embedded engine."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from deodar.store import ownership
from deodar.store.errors import StoreBusy, StoreError
from deodar.store.ownership import LOCK_NAME, Ownership

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out of account the engine that other tests of this process hold."""
    monkeypatch.setattr(ownership, "_held", [])


def test_held_until_released(tmp_path: Path) -> None:
    held = Ownership.take(tmp_path / "a" / "b")
    with pytest.raises(StoreBusy, match=f"held by process {os.getpid()}"):
        Ownership.take(tmp_path / "a" / "b")
    with pytest.raises(StoreBusy, match="can hold only one"):
        Ownership.take(tmp_path / "c")
    held.release()
    held.release()
    Ownership.take(tmp_path / "c").release()


def test_a_lock_of_an_unknown_process(tmp_path: Path) -> None:
    with (tmp_path / LOCK_NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreBusy, match="unknown"):
            Ownership.take(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot open a store"):
        Ownership.take(tmp_path / "file" / "store")
