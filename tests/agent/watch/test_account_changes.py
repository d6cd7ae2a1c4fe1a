"""More of it, with real files, is in test_accounts.py."""

from __future__ import annotations

from msgspec.structs import replace

from deodar.agent.watch.account_changes import Group, User, compare

ANNA = User("anna", 1000, 1000, "", "/home/anna", "/bin/sh", ("anna",), "d", False, "", "19000", "")
STAFF = Group("staff", 50, (), (), "")


def short(before: dict[str, User | Group], after: dict[str, User | Group]) -> list[object]:
    return [(r.entity, r.operation, r.name, *r.changes) for r in compare(before, after)]


def test_what_is_told_of_each_difference() -> None:
    other = replace(ANNA, shell="/bin/bash", password="e", password_day="19001")
    changes = ("shell: /bin/sh -> /bin/bash", "password")
    assert short({"user:anna": ANNA}, {"user:anna": other}) == [
        ("User", "Modified", "anna", *changes)
    ]
    assert short({"user:anna": ANNA}, {"user:anna": ANNA}) == []


def test_the_file_is_the_one_that_says_so() -> None:
    def file(**changes: object) -> str:
        return next(compare({"a": ANNA}, {"a": replace(ANNA, **changes)})).file

    assert file(home="/x") == "/etc/passwd"
    assert file(groups=("anna", "x")) == "/etc/group"
    assert file(password="") == file(locked=True) == file(expires="1") == "/etc/shadow"


def test_another_name_with_the_same_number_is_a_renaming() -> None:
    renamed = {"group:crew": replace(STAFF, name="crew")}
    told = ("Group", "Modified", "crew", "name: staff -> crew")
    assert short({"group:staff": STAFF}, renamed) == [told]


def test_two_new_names_of_one_number_are_two_accounts() -> None:
    new: dict[str, User | Group] = {f"user:{n}": replace(ANNA, name=n) for n in ("b", "c")}
    told = short({"user:anna": ANNA}, new)
    assert sorted(told, key=str) == [
        ("User", "Created", "b"),
        ("User", "Created", "c"),
        ("User", "Deleted", "anna"),
    ]
