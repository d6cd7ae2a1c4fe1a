from __future__ import annotations

from deodar.agent.sensors.file_policy import FilePolicy, below


def test_what_is_excluded_is_told_by_whole_folders():
    policy = FilePolicy(excluded=("/var/cache/", "/srv"))
    assert [policy.excludes(path) for path in (b"/srv/a", b"/srv", b"/srv2/a", b"/a/srv/b")] == [
        True,
        False,
        False,
        False,
    ]
    assert policy.excludes(b"/var/cache/x/y")
    assert policy.excludes(b"/proc/self/comm")
    assert not policy.excludes(b"/var/log/journal/x")


def test_by_default_the_journal_is_left_out():
    assert FilePolicy().excludes(b"/var/log/journal/0/system.journal")
    assert not FilePolicy().excludes(b"/tmp/x")


def test_a_folder_ends_with_one_slash():
    assert below("/srv") == below("/srv/") == b"/srv/"
    assert below("/") == b"/"
