"""A run ends in time and with its reason, whatever the machine or the archive does."""

from __future__ import annotations

import re

import pytest
from tests.kernels import boots, plan, tree
from tests.kernels.results import Account
from tests.machines.debian import missing
from tests.machines.kernels import Stock


def test_guest_that_hangs_is_ended(silent, monkeypatch):
    monkeypatch.setattr(plan, "KERNEL_SECONDS", 3.0)
    run = boots.follow(silent, Account("2026-01-02", ""))
    assert run.trouble.startswith("ended after 3 s; last words: ")
    assert silent.process.returncode is not None
    assert not run.good


def test_guest_that_goes_off_early_is_told(silent):
    silent.process.kill()
    run = boots.follow(silent, Account("2026-01-02", ""))
    assert run.trouble.startswith(boots.WENT_OFF)


def test_kernel_that_cannot_be_had_is_told(tmp_path, monkeypatch):
    if lacking := missing("apt-get"):
        pytest.skip(f"needs {lacking}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run = boots.run(Stock("no-such-suite"), tmp_path, tmp_path / "log", [])
    assert run.trouble.startswith("it could not be made ready: apt-get failed")
    assert list((tmp_path / "deodar-tests").iterdir()) == []


def test_revision_is_a_commit():
    if missing("git") or not (tree.ROOT / ".git").exists():
        pytest.skip("needs git and a clone")
    assert re.fullmatch(r"[0-9a-f]{7,}\+?", boots.revision())
