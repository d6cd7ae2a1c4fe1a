from __future__ import annotations

from deodar.agent.watch import at_jobs


def test_a_name_says_when() -> None:
    assert at_jobs.when("b0000201bbaa00") == "2025-04-13 15:28 UTC"
    assert at_jobs.when(".SEQ") == at_jobs.when("=0000201bbaa00") == ""


def test_the_command_is_what_at_has_not_added() -> None:
    text = (
        b"#!/bin/sh\n# atrun uid=7 gid=8\n# mail x 0\nA=b; export A\ncd / || {\n"
        b"\t echo 'no' >&2\n\t exit 1\n}\n"
    )
    assert at_jobs.parse(text + b"/bin/one\n/bin/two\n") == (7, "/bin/one\n/bin/two")
    here = b"${SHELL:-/bin/sh} << 'marcinDELIMITER1'\n/bin/one\n\nmarcinDELIMITER1\n"
    assert at_jobs.parse(text + here) == (7, "/bin/one")


def test_any_text_is_a_command() -> None:
    assert at_jobs.parse(b"\xff/bin/x") == (0, "\\xff/bin/x")
    assert len(at_jobs.parse(b"x" * 9999).command) == at_jobs.MOST_CHARACTERS
