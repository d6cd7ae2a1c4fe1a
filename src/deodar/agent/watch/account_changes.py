"""Accounts and groups without their secrets, and what is different between two states of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from deodar.agent.sensors.base import UNKNOWN_PROCESS
from deodar.agent.watch import sudoers
from deodar.agent.watch.records import AccountChange
from deodar.agent.watch.survey import changed, differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from deodar.agent.watch.records import Operation

PASSWD, SHADOW, GROUP, GSHADOW = "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"


class User(msgspec.Struct, frozen=True, tag="user"):
    """An account, without its secrets."""

    name: str
    uid: int
    gid: int
    comment: str
    home: str
    shell: str
    groups: tuple[str, ...]
    """All of them, that of `gid` included."""
    password: str
    """A keyed digest; "" for none at all."""
    locked: bool
    expires: str
    """Day of the end of the account, since 1970; "" for never."""
    password_day: str
    """Day of the last change of the password, since 1970."""
    limits: str
    """Least and greatest age of the password, days of warning and of grace."""


class Group(msgspec.Struct, frozen=True, tag="group"):
    """A group, without its secrets."""

    name: str
    gid: int
    members: tuple[str, ...]
    administrators: tuple[str, ...]
    password: str


Item = User | Group | sudoers.Sudoers


def compare(before: Mapping[str, Item], after: Mapping[str, Item]) -> Iterator[AccountChange]:
    """Yield what is different, a renamed account or group as one change."""
    renamed = _renamed(before, after)
    for new, old in renamed.items():
        yield from _change(before[old], after[new])
    gone = set(renamed.values())
    for key, one, other in differences(before, after):
        if key not in gone and key not in renamed:
            yield from _change(one, other)


def _renamed(before: Mapping[str, Item], after: Mapping[str, Item]) -> dict[str, str]:
    """Return new keys and the old ones of what has another name and the same number."""
    gone = _by_number(item for key, item in before.items() if key not in after)
    come = _by_number(item for key, item in after.items() if key not in before)
    return {
        f"{kind}:{new[0]}": f"{kind}:{gone[kind, number][0]}"
        for (kind, number), new in come.items()
        if len(new) == 1 and len(gone.get((kind, number), ())) == 1
    }


def _by_number(items: Iterable[Item]) -> dict[tuple[str, int], list[str]]:
    found: dict[tuple[str, int], list[str]] = {}
    for item in items:
        if isinstance(item, User):
            found.setdefault(("user", item.uid), []).append(item.name)
        elif isinstance(item, Group):
            found.setdefault(("group", item.gid), []).append(item.name)
    return found


def _change(old: Item | None, new: Item | None) -> Iterator[AccountChange]:
    """Yield the record of one difference; none when nothing of it is worth telling."""
    item = new if new is not None else old
    operation: Operation = "Modified"
    if old is None or new is None:
        operation = "Created" if old is None else "Deleted"
    if isinstance(item, User):
        yield _of_user(operation, old, item)
    elif isinstance(item, Group):
        yield _of_group(operation, old, item)
    elif item is not None:
        yield from sudoers.change(operation, old, item)


def _of_user(operation: Operation, old: Any, user: User) -> AccountChange:
    changes: list[str] = []
    if operation == "Modified":
        changes = _user_changes(old, user)
    secrets = ("password", "locked", "account expires", "password day", "password limits")
    in_shadow = bool(changes) and changes[0].startswith(secrets)
    in_group = bool(changes) and changes[0].startswith("groups")
    file = SHADOW if in_shadow else GROUP if in_group else PASSWD
    return AccountChange(
        0, UNKNOWN_PROCESS, operation, file, tuple(changes), False,
        "User", user.name, user.uid, user.groups, user.home, user.shell,
        also=(SHADOW,) if operation == "Created" and user.limits else (),
    )  # fmt: skip


def _user_changes(old: User, new: User) -> list[str]:
    found: list[str] = []
    for name in ("name", "uid", "gid", "home", "shell", "comment", "groups"):
        found += changed(name, getattr(old, name), getattr(new, name))
    if old.password != new.password:
        found.append("password" if new.password else "password: removed")
    elif old.password_day != new.password_day:
        found += changed("password day", old.password_day, new.password_day)
    found += changed("locked", old.locked, new.locked)
    found += changed("account expires", old.expires, new.expires)
    found += changed("password limits", old.limits, new.limits)
    return found


def _of_group(operation: Operation, old: Any, group: Group) -> AccountChange:
    changes: list[str] = []
    if operation == "Modified":
        for name in ("name", "gid", "members", "administrators"):
            changes += changed(name, getattr(old, name), getattr(group, name))
        if old.password != group.password:
            changes.append("password" if group.password else "password: removed")
    hidden = bool(changes) and changes[0].startswith(("administrators", "password"))
    return AccountChange(
        0, UNKNOWN_PROCESS, operation, GSHADOW if hidden else GROUP, tuple(changes), False,
        "Group", group.name, group.gid,
    )  # fmt: skip
