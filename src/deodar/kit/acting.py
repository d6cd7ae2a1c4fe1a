"""Who acts: the person or the program in whose name a change is made.

What changes control data is written without regard to who asked for it: a command on the host, a
user of the REST API, or an agent. The one who asked is set round the work, and the audit trail and
the histories read it here. It goes along into the threads that `asyncio.to_thread` and FastAPI use.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = "local"
"""The address of a command on the host of the server."""


@dataclass(frozen=True)
class Actor:
    """A name as the audit trail has it, and the address that it acts from."""

    name: str
    address: str = HERE


_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def this_user() -> str:
    """Return who runs this process, as audit rows name them."""
    return f"uid {os.getuid()}"


def actor() -> Actor:
    """Return who acts now: whoever was set, or else the user who runs this process."""
    return _actor.get() or Actor(this_user())


@contextmanager
def acting(as_: Actor) -> Iterator[None]:
    """Let what is done within be done in the name of somebody."""
    before = _actor.set(as_)
    try:
        yield
    finally:
        _actor.reset(before)
