"""The survey of accounts: who there is on this host, in which groups, and who may use sudo.

Whatever changes the files is seen: useradd, an editor, a library, an attacker's `echo >>`.
Accounts that a directory service keeps elsewhere are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from deodar.agent.errors import UnusableFile
from deodar.agent.watch import account_files, sudoers
from deodar.agent.watch.account_changes import (
    GROUP,
    GSHADOW,
    PASSWD,
    SHADOW,
    Group,
    Item,
    User,
    compare,
)
from deodar.agent.watch.account_files import MOST_BYTES, Table, names
from deodar.agent.watch.survey import Look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from deodar.agent.watch.files import Files
    from deodar.agent.watch.records import AccountChange

FEW = 3
"""So many accounts may vanish at once without a second look."""
_NEEDED = (PASSWD, GROUP)
_FILES = (PASSWD, SHADOW, GROUP, GSHADOW)


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

    def changes(
        self, before: Mapping[str, Item], after: Mapping[str, Item]
    ) -> Iterator[AccountChange]:
        """Yield what is different."""
        return compare(before, after)

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


_PARSERS = {
    PASSWD: account_files.passwd,
    SHADOW: account_files.shadow,
    GROUP: account_files.group,
    GSHADOW: account_files.gshadow,
}
"""In the order of `_Tables`."""
