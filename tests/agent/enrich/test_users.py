from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from deodar.agent.enrich.users import UserNames, parse

if TYPE_CHECKING:
    from pathlib import Path

PASSWD = b"root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/sh\n"


def test_names_come_from_the_file(tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_bytes(PASSWD)
    users = UserNames(passwd)
    assert users.name(0) == "root"
    assert users.name(1000) == "alice"


def test_user_without_a_name_shows_as_a_number(tmp_path: Path) -> None:
    users = UserNames(tmp_path / "missing")
    assert users.name(4711) == "4711"
    assert users.name(None) == ""


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_bytes(PASSWD)
    users = UserNames(passwd, ttl=0)
    assert users.name(1001) == "1001"
    passwd.write_bytes(PASSWD + b"bob:x:1001:1001::/:/bin/sh\n")
    assert users.name(1001) == "bob"


def test_file_is_not_looked_at_more_often_than_allowed(tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_bytes(PASSWD)
    users = UserNames(passwd, ttl=3600)
    assert users.name(0) == "root"
    passwd.write_bytes(b"king:x:0:0::/:/bin/sh\n")
    assert users.name(0) == "root"


@pytest.mark.parametrize(
    "line", [b"", b"#c:x:5:5::/:", b"short:x:5", b"a:x:x:5::/:", b":x:5:5::/:", b"+::::::", b"\xff"]
)
def test_lines_that_name_no_user_are_passed_over(line: bytes) -> None:
    assert parse(line + b"\nroot:x:0:0:::\n") == {0: "root"}


def test_first_of_two_names_counts() -> None:
    assert parse(b"root:x:0:0:::\ntoor:x:0:0:::\n") == {0: "root"}


def test_own_user_is_found() -> None:
    import pwd

    assert UserNames().name(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name
