from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.agent.conftest import wait_for

from deodar.agent.watch import sudoers

if TYPE_CHECKING:
    from tests.agent.watch.conftest import Host


def test_comments_are_no_rules_but_includes_and_uids_are() -> None:
    text = b"# text\nDefaults  env_reset\n#includedir /etc/sudoers.d\n#1000 ALL = ALL\n"
    text += b"a ALL=\\\n ALL\n"
    rules = ("Defaults env_reset", "#includedir /etc/sudoers.d", "#1000 ALL = ALL", "a ALL= ALL")
    assert sudoers.parse(text) == rules


def test_a_file_of_rules_is_added_changed_and_removed(watched: Host) -> None:
    path = watched.write("etc/sudoers.d/anna", "anna ALL=(ALL) ALL\n")
    watched.expect(("SudoersCreated", "/etc/sudoers.d/anna", "added: anna ALL=(ALL) ALL"))
    watched.edit("etc/sudoers.d/anna", "(ALL) ALL", "(ALL) NOPASSWD: ALL")
    changes = ("removed: anna ALL=(ALL) ALL", "added: anna ALL=(ALL) NOPASSWD: ALL")
    watched.expect(("SudoersModified", "/etc/sudoers.d/anna", *changes))
    path.unlink()
    gone = "removed: anna ALL=(ALL) NOPASSWD: ALL"
    watched.expect(("SudoersDeleted", "/etc/sudoers.d/anna", gone))


def test_files_that_sudo_leaves_out_and_comments_tell_nothing(watched: Host) -> None:
    watched.write("etc/sudoers.d/anna.bak", "anna ALL=(ALL) ALL\n")
    watched.write("etc/sudoers.d/anna~", "anna ALL=(ALL) ALL\n")
    watched.edit("etc/sudoers", "# who", "# or who")
    watched.expect_nothing()


def test_a_file_that_cannot_be_read_keeps_its_rules(watched: Host) -> None:
    path = watched.root / "etc/sudoers"
    os.mkfifo(f"{path}.new")
    path.with_name("sudoers.new").rename(path)
    wait_for(lambda: watched.told)
    assert watched.told[0].reason == "/etc/sudoers is no regular file"
    watched.expect_nothing()


def test_many_new_rules_are_told_in_short(watched: Host) -> None:
    watched.write("etc/sudoers.d/many", "".join(f"u{n} ALL=ALL\n" for n in range(50)))
    rules = tuple(f"added: u{n} ALL=ALL" for n in range(20))
    watched.expect(("SudoersCreated", "/etc/sudoers.d/many", *rules, "and 30 more"))
