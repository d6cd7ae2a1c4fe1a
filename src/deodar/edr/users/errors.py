"""Errors of users.

The tree::

    DeodarError
    └── EdrError
        └── UserError
            ├── NotPossible         it would leave nobody, or somebody goes by that name already
            ├── WeakPassword        a password breaks a rule; says which
            ├── LoginRefused        the name or the password is wrong, or the user is disabled
            └── LockedOut           too many failed logins; `retry_after` is when to come again
"""

from __future__ import annotations

from deodar.edr.errors import EdrError


class UserError(EdrError):
    """Something about users cannot be done."""


class NotPossible(UserError):  # noqa: N818
    """A change would leave no administrator, or a name is taken."""


class WeakPassword(UserError):  # noqa: N818
    """A password breaks a rule."""


class LoginRefused(UserError):  # noqa: N818
    """The name or the password is wrong, or the user is disabled: which of them is not told."""

    def __init__(self) -> None:
        super().__init__("the name or the password is wrong")


class LockedOut(UserError):  # noqa: N818
    """There were too many failed logins; `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many failed logins; try again in {retry_after} seconds")
        self.retry_after = retry_after
