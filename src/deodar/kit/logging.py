"""Logs: one JSON object a line on standard error; coloured text when that is a terminal.

Standard output stays free for what a command prints as its result. Secrets never reach a log:
values under keys that name one are replaced before anything is rendered.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, cast

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_SECRET = re.compile(r"(^|_)(secret|password|passphrase|private_key|token)$", re.IGNORECASE)


def configure(program: str, *, debug: bool = False) -> None:
    """Set up this process's logs under the name `program`; `debug` lets debug lines through."""
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            hide_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if debug else logging.INFO
        ),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(program=program)


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of one part of a program, such as ``edr.ingest``."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(part=name))


def hide_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Return the log event with the values of secret-bearing keys replaced."""
    for key in event:
        if _SECRET.search(key):
            event[key] = "***"
    return event
