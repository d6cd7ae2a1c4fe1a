from __future__ import annotations

import pytest

from deodar.edr.errors import DurationError, EdrError, FeedProblem, NotKnown

from .commands import run, told

MD5, SHA = "a" * 32, "b" * 64


@pytest.fixture
def folder(installation) -> str:
    return str(installation.directory.path)


def test_files_are_put_on_lists_asked_for_and_taken_off(folder):
    assert "no list yet" in run("reputation", "lists", "--dir", folder)
    assert run("reputation", "ask", MD5, "--dir", folder) == "unknown\n"
    words = ("--verdict", "trusted", "--note", "ours", "--valid", "P1D")
    (made,) = told("reputation", "add", MD5, *words, "--dir", folder)
    assert (made["verdict"], made["source"], made["note"]) == ("trusted", "local", "ours")
    assert made["expires_us"] > 0
    assert run("reputation", "ask", MD5.upper(), "--dir", folder) == "trusted by local\n"
    assert "ours" in run("reputation", "list", "--dir", folder)
    assert "1 entries removed" in run("reputation", "remove", MD5, "--dir", folder)
    with pytest.raises(NotKnown):
        run("reputation", "remove", MD5, "--dir", folder)


def test_feeds_are_imported_whole(folder, tmp_path):
    feed = tmp_path / "feed.csv"
    feed.write_text(f"hash,verdict\n{MD5}\n{SHA},trusted\n")
    words = ("reputation", "import", feed, "--list", "feed-1", "--dir", folder)
    assert told(*words) == [{"source": "feed-1", "entries": 2}]
    (one,) = told("reputation", "lists", "--dir", folder)
    assert (one["source"], one["untrusted"], one["trusted"]) == ("feed-1", 1, 1)
    assert "2 entries" in run(*words, "--replace")
    feed.write_text(f"{MD5}\nodd\n")
    with pytest.raises(FeedProblem, match="line 2"):
        run(*words, "--replace")
    listed = told("reputation", "list", "--list", "feed-1", "--dir", folder)
    assert [entry["hash"] for entry in listed] == [MD5, SHA]
    stdin = f"{'c' * 64}\n".encode()
    told("reputation", "import", "-", "--list", "feed-2", "--dir", folder, stdin=stdin)
    assert told("reputation", "remove", "--list", "feed-1", "--dir", folder)[0]["removed"] == 2
    assert [one["source"] for one in told("reputation", "lists", "--dir", folder)] == ["feed-2"]


def test_what_is_wrong_is_told(folder, tmp_path):
    with pytest.raises(FeedProblem):
        run("reputation", "add", "odd", "--dir", folder)
    with pytest.raises(DurationError):
        run("reputation", "add", MD5, "--valid", "soon", "--dir", folder)
    with pytest.raises(EdrError, match="No such file"):
        run("reputation", "import", tmp_path / "no", "--list", "a", "--dir", folder)
    run("reputation", "add", MD5, "--verdict", "odd", "--dir", folder, code=2)
