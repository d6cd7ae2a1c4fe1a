"""Logging in with a name and a password, and changing one's own password.

Whether a name exists is told by neither the answer nor the time that it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from deodar.edr.database import now_us, record
from deodar.edr.tables_users import users
from deodar.edr.users import lockout, passwords
from deodar.edr.users.accounts import Users
from deodar.edr.users.errors import LoginRefused
from deodar.edr.users.lockout import Attempt
from deodar.edr.users.roles import Role
from deodar.edr.users.sessions import Sessions
from deodar.kit.acting import Actor, acting
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from deodar.edr.database import Database
    from deodar.edr.settings import Sessions as Limits
    from deodar.edr.users.sessions import NewSession

log = logger("edr.users")


class Login:
    """The way in by password; synchronous, safe to use from several threads."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._sessions = Sessions(database, limits)

    def log_in(self, name: str, password: str, address: str, client: str = "") -> NewSession:
        """Begin a session; raises LoginRefused, LockedOut, or LogUnavailable when it is busy."""
        attempt = Attempt(name, address)
        role = self._check(attempt, password)
        with acting(Actor(name, address)), self._database.write() as connection:
            lockout.succeeded(connection, attempt)
            mine = users.c.name == name
            connection.execute(update(users).where(mine).values(last_login_us=now_us()))
            record(connection, "login", name)
            return self._sessions.make(connection, name, role, address, client)

    def change_password(self, name: str, old: str, new: str, address: str) -> None:
        """Give oneself another password, which ends all sessions.

        Raises LoginRefused when the old one is wrong, LockedOut, WeakPassword.
        """
        passwords.check_rules(new, name)
        attempt = Attempt(name, address)
        self._check(attempt, old)
        with self._database.write() as connection:
            lockout.succeeded(connection, attempt)
        Users(self._database).set_password(name, new)

    def _check(self, attempt: Attempt, password: str) -> Role:
        """Return the role of a user whose password is right."""
        lockout.begin(self._database, attempt)
        kept, role = self._kept(attempt.user)
        if not passwords.matches(kept, password):
            self._tell_failure(attempt, known=kept is not None)
            raise LoginRefused
        if kept is not None and passwords.is_outdated(kept):
            self._renew(attempt.user, password)
        return role

    def _kept(self, name: str) -> tuple[str | None, Role]:
        """Return the hash of a user's password and the role; None for who cannot log in."""
        found = (users.c.name == name) & (users.c.disabled_us == 0)
        with self._database.read() as connection:
            row = connection.execute(select(users.c.password, users.c.role).where(found)).first()
        return (None, Role.AUDITOR) if row is None else (row.password, Role(row.role))

    def _renew(self, name: str, password: str) -> None:
        kept = passwords.hash_password(password)
        with self._database.write() as connection:
            connection.execute(update(users).where(users.c.name == name).values(password=kept))

    def _tell_failure(self, attempt: Attempt, *, known: bool) -> None:
        # A name that nobody has may be a password, typed into the wrong field. Nor does it get an
        # entry in the trail, which strangers could fill with names until the oldest entries go.
        log.warning("login_failed", user=attempt.user if known else None, address=attempt.address)
        if known:
            with acting(Actor("nobody", attempt.address)), self._database.write() as connection:
                record(connection, "login failed", attempt.user)
