"""Accounts of users: names, roles, and their states; every change is in the audit trail.

There is always an administrator who can log in: the last one can be neither removed nor disabled
nor given another role. The first one is made on the server's host (``deodar edr user add``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from deodar.edr.database import now_us, record
from deodar.edr.errors import NotKnown
from deodar.edr.tables_users import api_tokens, login_failures, sessions, users
from deodar.edr.users import passwords
from deodar.edr.users.errors import NotPossible
from deodar.edr.users.roles import Role

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from deodar.edr.database import Database

NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}", re.ASCII)
MOST = 10_000
"""How many users there may be."""


class User(msgspec.Struct, frozen=True):
    """A user without the password. Times are µs, 0 for never."""

    name: str
    role: Role
    created_us: int
    password_us: int
    """When the password was last set."""
    disabled_us: int
    last_login_us: int


_SELECT = select(*(users.c[name] for name in User.__struct_fields__))
_ADMINISTRATORS = (
    select(users.c.name)
    .where(users.c.role == Role.ADMINISTRATOR, users.c.disabled_us == 0)
    .order_by(users.c.name)
)


class Users:
    """The accounts of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, role: Role, password: str) -> User:
        """Add a user. Raises WeakPassword, and NotPossible for a name that is taken or no name."""
        if not NAME.fullmatch(name):
            raise NotPossible(
                f"'{name[:64]}' cannot be a user's name; use a-z, 0-9, '.', '_' and '-', up to 64 "
                "of them, a letter first"
            )
        passwords.check_rules(password, name)
        now, kept = now_us(), passwords.hash_password(password)
        made = User(name, role, now, now, 0, 0)
        with self._database.write() as connection:
            if connection.execute(select(func.count()).select_from(users)).scalar_one() >= MOST:
                raise NotPossible(f"there are {MOST} users already; remove some first")
            try:
                with connection.begin_nested():
                    row = msgspec.structs.asdict(made)
                    connection.execute(insert(users).values(**row, password=kept))
            except IntegrityError as error:
                raise NotPossible(f"there is a user '{name}' already") from error
            record(connection, "user add", name, after=_json({"role": role}))
        return made

    def find(self, name: str) -> User:
        """Return a user; raises NotKnown."""
        with self._database.read() as connection:
            return _one(connection, name)

    def list(self, after: str = "", limit: int = MOST) -> list[User]:
        """Return up to so many users by name, those behind `after`."""
        query = _SELECT.where(users.c.name > after).order_by(users.c.name).limit(limit)
        with self._database.read() as connection:
            return [_user(row) for row in connection.execute(query).all()]

    def change(self, name: str, *, role: Role | None = None, disabled: bool | None = None) -> User:
        """Give a user another role, or disable or enable them; what is None stays.

        Ends the user's sessions. Raises NotKnown, and NotPossible for the last administrator.
        """
        with self._database.write() as connection:
            _hold_administrators(connection)
            found = _one(connection, name)
            wanted = found
            if role is not None:
                wanted = msgspec.structs.replace(wanted, role=role)
            if disabled is not None and disabled != bool(found.disabled_us):
                wanted = msgspec.structs.replace(wanted, disabled_us=now_us() if disabled else 0)
            if wanted == found:
                return found
            values = {"role": wanted.role, "disabled_us": wanted.disabled_us}
            connection.execute(update(users).where(users.c.name == name).values(**values))
            _refuse_nobody(connection, found)
            end_sessions(connection, name)
            record(connection, "user change", name, before=_story(found), after=_story(wanted))
            return wanted

    def set_password(self, name: str, password: str) -> User:
        """Give a user another password and end all their sessions.

        Raises NotKnown and WeakPassword.
        """
        passwords.check_rules(password, name)
        kept = passwords.hash_password(password)
        with self._database.write() as connection:
            _one(connection, name)
            values = {"password": kept, "password_us": now_us()}
            connection.execute(update(users).where(users.c.name == name).values(**values))
            ended = end_sessions(connection, name)
            record(connection, "user password", name, f"{ended} sessions ended")
            return _one(connection, name)

    def remove(self, name: str) -> User:
        """Remove a user with their sessions and API tokens, and return what was known.

        Raises NotKnown, and NotPossible for the last administrator.
        """
        with self._database.write() as connection:
            _hold_administrators(connection)
            found = _one(connection, name)
            connection.execute(delete(users).where(users.c.name == name))
            _refuse_nobody(connection, found)
            end_sessions(connection, name)
            connection.execute(delete(api_tokens).where(api_tokens.c.user == name))
            record(connection, "user remove", name, before=_story(found))
            return found

    def unlock(self, name: str) -> User:
        """Forget a user's failed logins; raises NotKnown."""
        mine = (login_failures.c.kind == "user") & (login_failures.c.key == name)
        with self._database.write() as connection:
            found = _one(connection, name)
            connection.execute(delete(login_failures).where(mine))
            record(connection, "user unlock", name)
            return found

    def end_sessions(self, name: str) -> int:
        """End all sessions of a user and return how many there were; raises NotKnown."""
        with self._database.write() as connection:
            _one(connection, name)
            ended = end_sessions(connection, name)
            record(connection, "user log-out", name, f"{ended} sessions ended")
            return ended


def end_sessions(connection: Connection, name: str) -> int:
    """End all sessions of a user and return how many there were."""
    return connection.execute(delete(sessions).where(sessions.c.user == name)).rowcount


def _one(connection: Connection, name: str) -> User:
    row = connection.execute(_SELECT.where(users.c.name == name)).first()
    if row is None:
        raise NotKnown(f"no user '{name[:64]}'; see: deodar edr user list")
    return _user(row)


def _hold_administrators(connection: Connection) -> None:
    """Let of two changes at once the second see the first; in one order, so that both come on."""
    connection.execute(_ADMINISTRATORS.with_for_update()).all()


def _refuse_nobody(connection: Connection, changed: User) -> None:
    """Raise NotPossible when a change of this user has left no administrator."""
    if changed.role is not Role.ADMINISTRATOR:
        return
    if connection.execute(_ADMINISTRATORS).first() is None:
        raise NotPossible("this is the last administrator; make another one first")


def _user(row: Row[Any]) -> User:
    return msgspec.convert(row, User, from_attributes=True)


def _story(user: User) -> str:
    return _json({"role": user.role, "disabled": bool(user.disabled_us)})


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
