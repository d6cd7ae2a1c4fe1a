from __future__ import annotations

import pytest
from tests.siem.pipeline.enrichment.test_rule import column, enriched

from deodar.siem.pipeline.enrichment import reputation
from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.frame import frame_of

BAD, GOOD, BOTH, NEW = "a" * 32, "b" * 64, "c" * 32, "d" * 32


@pytest.fixture
def home(tmp_path):
    (tmp_path / "bad.txt").write_text(f"# a list\n{BAD}\n{BOTH},,seen in July\n")
    (tmp_path / "good.csv").write_text(f"sha256,verdict,note\n{GOOD},trusted\n{BOTH},trusted\n")
    return tmp_path


def verdicts(home, *hashes, **settings):
    events = frame_of([{"FileHash": text} for text in hashes])
    return enriched("reputation", home=home, events=events, **settings)


def test_the_worst_verdict_of_all_lists_counts_and_the_unknown_is_left(home):
    found, written, errors = verdicts(
        home,
        BAD.upper(),
        GOOD,
        BOTH,
        NEW,
        "no hash",
        "",
        files=["good.csv", "bad.txt"],
        note_target="Reason",
    )
    assert column(found, "TI.reputation") == ["untrusted", "trusted", "untrusted", "", "", ""]
    assert column(found, "Reason") == ["bad.txt", "good.csv", "seen in July", "", "", ""]
    assert (written.tolist(), errors) == ([True] * 3 + [False] * 3, 0)


def test_a_list_may_be_of_what_is_trusted(home):
    found, _written, _errors = verdicts(
        home, BAD, files=["bad.txt"], verdict="trusted", target="DeviceCustomString1"
    )
    assert column(found, "DeviceCustomString1") == ["trusted"]


def test_a_list_that_cannot_be_used_is_told_with_its_line(home, monkeypatch):
    (home / "odd.txt").write_text(f"{BAD}\nodd\n")
    with pytest.raises(RuleError, match=r"odd\.txt: line 2: 'odd' is neither MD5 nor SHA-256"):
        verdicts(home, BAD, files=["odd.txt"])
    with pytest.raises(RuleError, match=r"files: .*absent\.txt"):
        verdicts(home, BAD, files=["absent.txt"])
    with pytest.raises(RuleError, match="field: DestinationPort holds no text"):
        verdicts(home, BAD, files=["bad.txt"], field="DestinationPort")
    monkeypatch.setattr(reputation, "MAX_ENTRIES", 1)
    with pytest.raises(RuleError, match="more than 1 hashes"):
        verdicts(home, BAD, files=["bad.txt"])
