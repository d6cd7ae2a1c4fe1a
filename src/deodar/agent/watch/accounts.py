"""The survey of accounts: who there is on this host, in which groups, and who may use sudo.

Whatever changes the files is seen: useradd, an editor, a library, an attacker's `echo >>`.
Accounts that a directory service keeps elsewhere are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from deodar.agent.errors import UnusableFile
from deodar.agent.sensors.base import UNKNOWN_PROCESS
from deodar.agent.watch import account_files, sudoers
from deodar.agent.watch.account_files import MOST_BYTES, Table, names
from deodar.agent.watch.records import AccountChange
from deodar.agent.watch.survey import Look, changed, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from deodar.agent.watch.files import Files
    from deodar.agent.watch.records import Operation

PASSWD, SHADOW, GROUP, GSHADOW = "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"
FEW = 3
"""So many accounts may vanish at once without a second look."""
_NEEDED = (PASSWD, GROUP)
_FILES = (PASSWD, SHADOW, GROUP, GSHADOW)


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


class _Tables(NamedTuple):
    passwd: Table
    shadow: Table
    group: Table
    gshadow: Table


class AccountSurvey:
    """Reads the accounts of one root folder."""

    name = "accounts"
    kinds: Any = dict[str, Item]
    related: Mapping[str, tuple[str, ...]] = dict.fromkeys(_FILES, _FILES)

    def __init__(self, digest: Callable[[bytes], str]) -> None:
        """`digest` makes of a secret what may be kept."""
        self._digest = digest

    def folders(self, files: Files) -> Iterable[tuple[str, frozenset[str] | None]]:
        """Return the folders to watch, and which names in them matter."""
        base = {"passwd", "shadow", "group", "gshadow", "sudoers"}
        return (("/etc", frozenset(base)), (sudoers.FOLDER, None))

    def look(self, files: Files, before: Mapping[str, Any]) -> Look:
        """Read all files; when one of them cannot be used, the accounts stay as before."""
        items: dict[str, Item] = {}
        problems: list[str] = []
        doubts: list[str] = []
        try:
            tables = _Tables(*(self._table(files, path, doubts) for path in _PARSERS))
        except UnusableFile as error:
            problems.append(str(error))
            items |= {k: v for k, v in before.items() if not k.startswith(sudoers.PREFIX)}
        else:
            items |= self._users(tables)
            items |= self._groups(tables)
        items |= sudoers.look(files, before, problems)
        return Look(items, tuple(doubts), tuple(problems))

    def is_doubtful(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Whether so many are gone that the file may have been read half written."""
        gone = sum(key not in after for key in before)
        return gone > max(FEW, len(before) // 2)

    def changes(self, before: Mapping[str, Item], after: Mapping[str, Item]) -> Iterator[Any]:
        """Yield what is different, a renamed account or group as one change."""
        renamed = _renamed(before, after)
        for new, old in renamed.items():
            yield from _change(before[old], after[new])
        gone = set(renamed.values())
        for key, one, other in differences(before, after):
            if key not in gone and key not in renamed:
                yield from _change(one, other)

    def _table(self, files: Files, path: str, doubts: list[str]) -> Table:
        content = files.read(path, MOST_BYTES)
        if content is None:
            if path in _NEEDED:
                doubts.append(f"{path} is not there")
            return Table({})
        table = _PARSERS[path](content)
        if table.flaw:
            doubts.append(f"{path}: {table.flaw}")
        return table

    def _users(self, tables: _Tables) -> dict[str, Item]:
        member_of = _memberships(tables.group)
        found: dict[str, Item] = {}
        for key, (name, word, uid, gid, comment, home, shell) in tables.passwd.rows.items():
            hidden = tables.shadow.rows.get(key)
            secret = hidden[1] if hidden and word == "x" else word
            found[f"user:{key}"] = User(
                name, int(uid), int(gid), comment, home, shell,
                names(",".join(member_of.names.get(name, []) + member_of.by_gid.get(gid, []))),
                self._digest(secret.lstrip("!").encode()),
                secret.startswith("!"),
                hidden[7] if hidden else "",
                hidden[2] if hidden else "",
                ",".join(hidden[3:7]) if hidden else "",
            )  # fmt: skip
        return found

    def _groups(self, tables: _Tables) -> dict[str, Item]:
        found: dict[str, Item] = {}
        for key, (name, word, gid, members) in tables.group.rows.items():
            hidden = tables.gshadow.rows.get(key)
            secret = hidden[1] if hidden and word == "x" else word
            found[f"group:{key}"] = Group(
                name, int(gid), names(members), names(hidden[2]) if hidden else (),
                self._digest(secret.encode()),
            )  # fmt: skip
        return found


class _Memberships(NamedTuple):
    names: dict[str, list[str]]
    by_gid: dict[str, list[str]]


def _memberships(table: Table) -> _Memberships:
    found = _Memberships({}, {})
    for name, _, gid, members in table.rows.values():
        found.by_gid.setdefault(gid, []).append(name)
        for member in names(members):
            found.names.setdefault(member, []).append(name)
    return found


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


_PARSERS = {
    PASSWD: account_files.passwd,
    SHADOW: account_files.shadow,
    GROUP: account_files.group,
    GSHADOW: account_files.gshadow,
}
"""In the order of `_Tables`."""
