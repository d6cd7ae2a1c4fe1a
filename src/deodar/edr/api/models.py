"""What bodies of requests and answers have in common."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Asked(BaseModel):
    """A body that a client sends; names that are not known are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Told(BaseModel):
    """A body that the server sends, made from any value with the same attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True, use_attribute_docstrings=True)


class Page(BaseModel, Generic[T]):
    """A part of a list; `next` is the `after` of the part that follows, null at the end."""

    items: list[T]
    next: str | None = None


Text = Annotated[str, Field(max_length=256)]
"""A short text, such as a name to show."""
