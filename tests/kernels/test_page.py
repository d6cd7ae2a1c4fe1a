"""The page of kernels says what was kept, and what was never run."""

from __future__ import annotations

import msgspec
from tests.kernels.page import abilities, page, table
from tests.kernels.plan import KERNELS
from tests.kernels.results import Host, Run, Tier, Told

HOST = Host("6.1.0-9-amd64", "#1 SMP", "landlock,bpf", True)
GOOD = Run(
    "2026-01-02", "abc", 61, HOST, [Tier("core (BPF)", True), Tier("audit", True)],
    abilities=[Tier("fentry", True), Tier("kprobe", False, "errno 95")],
    passed=9,
)  # fmt: skip
BAD = Run(
    "2026-01-03", "def", 700, None, [Tier("core (BPF)", False, "errno 22"), Tier("proc", True)],
    passed=1,
    failed=[Told("tests/a.py::test_b", "    x = 1\nE   assert 1 == 2\nE    +1")],
    skipped=[Told("c", "x.py:1: Skipped: no nft"), Told("d", "x.py:9: Skipped: no nft")],
    complaints=["BUG: soft lockup"],
    trouble="ended after\n840 s",
)  # fmt: skip


def test_table_has_every_tier_of_any_kernel():
    first, _, good, bad = table({"bookworm": GOOD, "bullseye": BAD}).splitlines()
    assert first.split(" | ")[2:5] == ["core (BPF)", "audit", "proc"]
    assert good == "| bookworm | 6.1.0-9-amd64 | yes | yes | ? | 9 | 0 | 0 | 2026-01-02 |"
    assert bad == "| bullseye | did not come up | no | ? | yes | 1 | 1 | 2 | 2026-01-03 |"


def test_page_says_what_went_wrong_and_why_tests_skipped():
    text = page(msgspec.to_builtins({"bullseye": BAD}))
    assert "**Not run to its end:** ended after 840 s" in text
    assert "- core (BPF): errno 22" in text
    assert "- BUG: soft lockup" in text
    assert "- `tests/a.py::test_b`: assert 1 == 2" in text
    assert "- no nft (2)" in text


def test_page_says_which_kernels_were_never_run():
    others = ", ".join(name for name in KERNELS if name != "bookworm")
    assert f"Never run: {others}." in page(msgspec.to_builtins({"bookworm": GOOD}))
    assert "Never run" not in page(msgspec.to_builtins(dict.fromkeys(KERNELS, GOOD)))


def test_abilities_have_a_table_of_their_own():
    assert abilities({"bookworm": GOOD, "bullseye": BAD}).splitlines() == [
        "| Debian | fentry | kprobe |",
        "| --- | --- | --- |",
        "| bookworm | yes | no |",
        "| bullseye | ? | ? |",
    ]
    assert "- kprobe: errno 95" in page(msgspec.to_builtins({"bookworm": GOOD}))
