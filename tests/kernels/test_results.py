"""The account of a run, from what a guest tells step by step."""

from __future__ import annotations

import pytest
from tests.kernels.results import Account, Tier, Told, reason

HOST = {"release": "6.1.0-9-amd64", "version": "#1 SMP", "lsms": "bpf", "btf": True}


@pytest.fixture
def account():
    made = Account("2026-01-02", "abc123")
    made.take({"step": "host", **HOST})
    made.take({"step": "tier", "name": "core (BPF)", "works": True})
    made.take({"step": "tier", "name": "audit", "works": False, "said": "locked"})
    return made


def _ended(account, test, outcome, said=""):
    account.take({"step": "start", "test": test})
    account.take({"step": "test", "test": test, "outcome": outcome, "said": said})


def test_a_run_to_its_end(account):
    _ended(account, "a", "passed")
    _ended(account, "b", "skipped", "needs nft")
    account.take({"step": "ability", "name": "fentry", "works": True})
    account.take({"step": "end", "trouble": "", "complaints": []})
    assert account.ended
    run = account.run(12.4)
    assert (run.day, run.revision, run.seconds, run.passed) == ("2026-01-02", "abc123", 12, 1)
    assert run.host.release == HOST["release"]
    assert run.tiers == [Tier("core (BPF)", True), Tier("audit", False, "locked")]
    assert run.abilities == [Tier("fentry", True)]
    assert run.skipped == [Told("b", "needs nft")]
    assert run.good  # a tier that this kernel does not take is a finding, not a fault


def test_a_failure_counts_once_whatever_the_phases_say(account):
    _ended(account, "a", "failed", "E   assert 1 == 2")
    _ended(account, "a", "passed")
    _ended(account, "b", "passed")
    _ended(account, "b", "failed", "E   at its teardown")
    account.take({"step": "end", "trouble": "", "complaints": []})
    run = account.run(1)
    assert run.failed == [Told("a", "E   assert 1 == 2"), Told("b", "E   at its teardown")]
    assert run.passed == 0
    assert not run.good


def test_a_guest_that_dies_in_a_test_is_told_with_that_test(account):
    _ended(account, "a", "passed")
    account.take({"step": "start", "test": "b"})
    assert not account.ended
    run = account.run(3, "went off")
    assert run.passed == 1
    assert run.trouble == "went off (during b)"
    assert not run.good


def test_trouble_and_complaints_of_the_guest_are_kept(account):
    _ended(account, "a", "passed")
    account.take({"step": "end", "trouble": "pytest ended with code 4", "complaints": ["BUG: x"]})
    run = account.run(3)
    assert (run.trouble, run.complaints) == ("pytest ended with code 4", ["BUG: x"])
    assert not run.good


def test_a_run_in_which_nothing_passed_is_not_good(account):
    account.take({"step": "end", "trouble": "", "complaints": []})
    assert not account.run(1).good


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("/root/deodar/tests/x.py:12: Skipped: needs nft", "needs nft"),
        ("Skipped: needs nft", "needs nft"),
        ("needs: nft", "needs: nft"),
    ],
)
def test_reason_of_a_skip(said, why):
    assert reason(said) == why
