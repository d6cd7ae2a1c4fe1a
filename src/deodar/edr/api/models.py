"""What bodies of requests and answers have in common."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from deodar.edr.users.passwords import LONGEST, SHORTEST
from deodar.edr.users.roles import Role

T = TypeVar("T")


class Asked(BaseModel):
    """A body that a client sends; unknown names, and values of another type, are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class Told(BaseModel):
    """A body that the server sends, made from any value with the same attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True, use_attribute_docstrings=True)


class Page(BaseModel, Generic[T]):
    """A part of a list; `next` is the `after` of the part that follows, null at the end."""

    items: list[T]
    next: str | None = None


RoleName = Annotated[Role, Field(strict=False)]
"""The name of a role in a body."""
Password = Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST)]
"""A new password; there are more rules, of which an answer tells."""
Text = Annotated[str, Field(max_length=256)]
"""A short text, such as a name to show."""
