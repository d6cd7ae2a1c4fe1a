"""Accounts, changed in all ways in which their files can be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.agent.conftest import wait_for

from deodar.agent.sensors.base import Lost
from deodar.agent.watch.accounts import AccountSurvey
from deodar.agent.watch.course import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.agent.watch.conftest import Host

    from deodar.agent.watch.files import Files

MALLORY = "mallory:x:0:0::/root:/bin/bash\n"


def _append(host: Host, name: str, line: str) -> None:
    with (host.root / name).open("a") as file:
        file.write(line)


def _like_vipw(host: Host, name: str, line: str) -> None:
    """A link to the old content, the new one beside it, then the name."""
    path = host.root / name
    os.link(path, f"{path}-")
    path.with_name("passwd.edit").write_text(path.read_text() + line)
    path.with_name("passwd.edit").rename(path)


def _by_rename(host: Host, name: str, line: str) -> None:
    host.replace(name, (host.root / name).read_text() + line)


def _remove_and_write(host: Host, name: str, line: str) -> None:
    text = (host.root / name).read_text()
    (host.root / name).unlink()
    host.write(name, text + line)


@pytest.mark.parametrize("way", [_append, _like_vipw, _by_rename, _remove_and_write])
def test_an_account_is_made_whatever_the_way(watched: Host, way: Callable[..., None]) -> None:
    way(watched, "etc/passwd", MALLORY)
    watched.expect(("UserCreated", "mallory"))


def test_what_is_told_of_an_account(watched: Host) -> None:
    _append(watched, "etc/group", "wheel:x:10:anna,bob\n")
    watched.expect(
        ("GroupCreated", "wheel"), ("UserModified", "anna", "groups: anna -> anna, wheel")
    )
    _append(watched, "etc/passwd", "bob:x:1001:1000:Bob:/home/bob:/bin/zsh\n")
    wait_for(lambda: watched.told)
    record = watched.told[0]
    assert (record.name, record.number) == ("bob", 1001)
    assert (record.home, record.shell) == ("/home/bob", "/bin/zsh")
    assert record.groups == ("anna", "wheel")
    assert record.file == "/etc/passwd"
    assert not record.meanwhile


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("passwd", "/home/anna:/bin/sh", "/home/anna:/bin/bash", ["shell: /bin/sh -> /bin/bash"]),
        ("passwd", "/home/anna", "/srv/anna", ["home: /home/anna -> /srv/anna"]),
        ("passwd", "x:1000:1000", "x:0:1000", ["uid: 1000 -> 0"]),
        ("passwd", "1000::", "1000:Anna:", ["comment: none -> Anna"]),
        ("passwd", "anna:x:", "anna::", ["password: removed"]),
        ("shadow", "$y$secret:19000", "$y$other:19050", ["password"]),
        ("shadow", "$y$secret", "", ["password: removed"]),
        ("shadow", "$y$secret", "!$y$secret", ["locked: no -> yes"]),
        ("shadow", "$y$secret:19000", "$y$secret:0", ["password day: 19000 -> 0"]),
        ("shadow", "secret:19000:0:99999:7:::", "secret:19000:0:99999:7::20000:",
         ["account expires: none -> 20000"]),
        ("shadow", "secret:19000:0:99999", "secret:19000:0:90",
         ["password limits: 0,99999,7, -> 0,90,7,"]),
    ],
)  # fmt: skip
def test_what_changed_of_an_account(
    watched: Host, file: str, old: str, new: str, changes: list[str]
) -> None:
    watched.edit(f"etc/{file}", old, new)
    watched.expect(("UserModified", "anna", *changes))


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("group", "sudo:x:27:", "sudo:x:28:", [("GroupModified", "sudo", "gid: 27 -> 28")]),
        ("group", "sudo:x:27:", "sudo:x:27:anna",
         [("GroupModified", "sudo", "members: none -> anna"),
          ("UserModified", "anna", "groups: anna -> anna, sudo")]),
        ("gshadow", "sudo:*:", "sudo:$y$new:", [("GroupModified", "sudo", "password")]),
        ("gshadow", "sudo:*::", "sudo:*:anna:",
         [("GroupModified", "sudo", "administrators: none -> anna")]),
        ("group", "sudo:x:27:\n", "", [("GroupDeleted", "sudo")]),
    ],
)  # fmt: skip
def test_what_changed_of_a_group(
    watched: Host, file: str, old: str, new: str, changes: list[Any]
) -> None:
    watched.edit(f"etc/{file}", old, new)
    watched.expect(*changes)


def test_a_deleted_account_is_told_with_what_it_was(watched: Host) -> None:
    watched.edit("etc/passwd", "anna:x:1000:1000::/home/anna:/bin/sh\n", "")
    wait_for(lambda: watched.told)
    record = watched.told[0]
    assert watched.changes == [("UserDeleted", "anna")]
    assert (record.number, record.home, record.groups) == (1000, "/home/anna", ("anna",))


def test_a_new_name_is_one_change(watched: Host) -> None:
    for file in ("passwd", "shadow"):
        text = (watched.root / "etc" / file).read_text()
        watched.replace(f"etc/{file}", text.replace("\nanna:", "\nhanna:"))
    watched.expect(("UserModified", "hanna", "name: anna -> hanna"))


def test_a_second_line_of_the_same_name_is_an_account_of_its_own(watched: Host) -> None:
    _append(watched, "etc/passwd", "anna:x:0:0::/root:/bin/bash\n")
    watched.expect(("UserCreated", "anna"))


def test_no_secret_leaves_the_files(watched: Host) -> None:
    watched.edit("etc/shadow", "$y$secret", "$y$another")
    watched.expect(("UserModified", "anna", "password"))
    watched.watcher.close()
    kept = b"".join(path.read_bytes() for path in watched.state.path.iterdir())
    assert b"$y$" not in kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in watched.state.path.iterdir())


def test_touched_and_reordered_files_tell_nothing(watched: Host) -> None:
    os.utime(watched.root / "etc/passwd")
    (watched.root / "etc/shadow").chmod(0o600)
    lines = (watched.root / "etc/passwd").read_text().splitlines(keepends=True)
    watched.replace("etc/passwd", "".join(reversed(lines)))
    watched.expect_nothing()


def test_a_half_written_file_is_no_deletion(watched: Host) -> None:
    path = watched.root / "etc/passwd"
    whole = path.read_text() + "".join(
        f"user{n}:x:{2000 + n}:100::/home/user{n}:/bin/sh\n" for n in range(8)
    )
    watched.replace("etc/passwd", whole)
    watched.expect(*[("UserCreated", f"user{n}") for n in range(8)])
    accounts = watched.watcher._courses["accounts"]
    for part in (whole[:40], "", whole[: whole.index("user3")]):  # cut in a line, empty, at a line
        path.write_text(part)
        wait_for(lambda: accounts.due < NEVER)
    path.write_text(whole)
    watched.expect_nothing()


def test_a_file_that_stays_cut_is_believed_in_the_end(watched: Host) -> None:
    watched.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nanna:x:10")
    watched.expect(("UserDeleted", "anna"))


def test_a_flood_of_accounts(watched: Host) -> None:
    many = 10_000
    text = (watched.root / "etc/passwd").read_text()
    lines = "".join(f"u{n}:x:{5000 + n}:100::/home/u{n}:/bin/sh\n" for n in range(many))
    watched.replace("etc/passwd", text + lines)
    watched.expect(*[("UserCreated", f"u{n}") for n in range(many)], limit=60)
    watched.replace("etc/passwd", text)
    watched.expect(*[("UserDeleted", f"u{n}") for n in range(many)], limit=60)


def test_a_file_that_is_too_large_is_told_of_and_changes_nothing(
    watched: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deodar.agent.watch.accounts.MOST_BYTES", 100)
    _append(watched, "etc/passwd", MALLORY * 2)
    wait_for(lambda: watched.told)
    lost = watched.told[0]
    assert isinstance(lost, Lost)
    assert "/etc/passwd is larger than 100 bytes" in lost.reason


def test_what_changed_while_nobody_watched_is_told_at_the_next_start(watched: Host) -> None:
    watched.watcher.close()
    _append(watched, "etc/passwd", MALLORY)
    watched.edit("etc/shadow", "$y$secret", "$y$other")
    watched.restart()
    wait_for(lambda: watched.told)
    assert all(record.meanwhile for record in watched.told)
    watched.expect(("UserCreated", "mallory"), ("UserModified", "anna", "password"))


def test_the_first_start_ever_tells_nothing(watched: Host) -> None:
    watched.expect_nothing()


def test_rules_of_sudo(watched: Host) -> None:
    watched.edit("etc/sudoers", "root ALL=(ALL) ALL\n", "root ALL=(ALL) ALL\nanna ALL=(ALL) ALL\n")
    watched.expect(("SudoersModified", "/etc/sudoers", "added: anna ALL=(ALL) ALL"))


def test_is_doubtful_only_when_many_are_gone(files: Files) -> None:
    survey = AccountSurvey(bytes.hex)
    items = survey.look(files, {}).items
    assert survey.is_doubtful(items, {})
    assert not survey.is_doubtful({}, items)
    assert not survey.is_doubtful(items, dict([*items.items()][1:]))
