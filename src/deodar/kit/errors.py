"""Errors that reach a user.

The tree::

    DeodarError                 exit code 1
    ├── SettingsError           exit code 2: a settings file or an option is wrong
    └── StateError              exit code 3: a state folder is missing, in use or damaged
        └── FolderInUse         another process holds the folder

Other packages hang their own errors below DeodarError. ``str(error)`` is the whole message: what
was wrong, where, and what to do. The command line prints it in one line, without a stack trace.
"""

from __future__ import annotations

from typing import ClassVar


class DeodarError(Exception):
    """Base of every error whose text is meant for a user."""

    exit_code: ClassVar[int] = 1


class SettingsError(DeodarError):
    """A settings file or an option cannot be used; the text names file, key and rule."""

    exit_code = 2


class StateError(DeodarError):
    """A state folder is missing, held by another process, or damaged."""

    exit_code = 3


class FolderInUse(StateError):  # noqa: N818  # names what was found
    """A state folder is held by another process."""
