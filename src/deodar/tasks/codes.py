"""The exit codes of KESL's command line that commands about tasks and settings end with.

Administrators' scripts test them. Codes of functions that Deodar has not are left out.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """What a command about tasks, settings, certificates or events ends with."""

    DONE = 0
    """It was done."""
    SYNTAX = 1
    """The command or one of its arguments is not written as it must be."""
    SETTINGS = 2
    """A setting has a value that it cannot have."""
    NOT_RUNNING = 64
    """The agent does not run."""
    OTHER = 65
    """Every other error."""
    POLICY = 68
    """A policy of the server holds what was to be changed."""
    STATE = 70
    """The task is in the wrong state: started, and was to be started; or the other way round."""
    INSECURE_PATH = 76
    """Someone other than root or the agent's own account may write a file or folder."""
