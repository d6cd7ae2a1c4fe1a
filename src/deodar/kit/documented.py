"""A web application whose OpenAPI document is made when it is first asked for.

Making it takes longer than all else that a server does at its start, and few ever ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

if TYPE_CHECKING:
    from collections.abc import Callable

    Document = dict[str, Any]


class Documented(FastAPI):
    """An application of FastAPI, with more said in its document than FastAPI knows."""

    def __init__(self, complete: Callable[[Document], Document], **settings: Any) -> None:
        """`complete` gets the document and returns it with what is to be added."""
        super().__init__(
            docs_url=None,  # their pages load scripts from elsewhere
            redoc_url=None,
            redirect_slashes=False,
            generate_unique_id_function=lambda route: route.name,
            **settings,
        )
        self._complete = complete

    def openapi(self) -> Document:
        """Return the document, the same each time."""
        if self.openapi_schema is None:
            self.openapi_schema = self._complete(super().openapi())
        return self.openapi_schema
