"""Logs: one JSON object a line on standard error; coloured text when that is a terminal.

Standard output stays free for what a command prints as its result. Secrets never reach a log:
values under keys that name one are replaced before anything is rendered.

structlog does the work, and is loaded with the first line. `configure_plain` writes the same lines
without it: structlog brings asyncio along, 10 MB that a small program of every host need not pay.
"""

from __future__ import annotations

import json
import re
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    Writer = Callable[[str, str, str, dict[str, Any]], None]
    """Writes one line: the level's name, the part of the program, the text, and values."""
    Listener = Callable[[str, str], None]
    """Gets a line that was written: the level's name and the whole text."""

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_SECRET = re.compile(r"(^|_)(secret|password|passphrase|private_key|token)$", re.IGNORECASE)


class Logger:
    """The logger of one part of a program. What it is given are values, not parts of a text."""

    __slots__ = ("_part",)

    def __init__(self, part: str) -> None:
        self._part = part

    def debug(self, event: str, **values: Any) -> None:
        """Log what only helps to find a fault."""
        _emit("debug", self._part, event, values)

    def info(self, event: str, **values: Any) -> None:
        """Log what happened as it should."""
        _emit("info", self._part, event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Log what somebody should look at some day."""
        _emit("warning", self._part, event, values)

    def error(self, event: str, **values: Any) -> None:
        """Log what failed."""
        _emit("error", self._part, event, values)

    def exception(self, event: str, **values: Any) -> None:
        """Log what failed, with the exception that is being handled."""
        _emit("error", self._part, event, {"exc_info": True, **values})

    def log(self, level: int, event: str, **values: Any) -> None:
        """Log at a level given by the number that `logging` has for it."""
        name = max((number, name) for name, number in LEVELS.items() if number <= max(level, 10))[1]
        _emit(name, self._part, event, values)


def logger(name: str) -> Logger:
    """Return the logger of one part of a program, such as ``edr.ingest``."""
    return Logger(name)


def configure(program: str, *, debug: bool = False) -> None:
    """Set up this process's logs under the name `program`; `debug` lets debug lines through."""
    import structlog  # noqa: PLC0415 - see the module's text

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
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS["debug" if debug else "info"]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(program=program)
    _use(_with_structlog, "debug" if debug else "info")


def configure_plain(program: str, *, debug: bool = False) -> None:
    """Set up this process's logs as `configure` does, without structlog and without colours."""
    least = LEVELS["debug" if debug else "info"]

    def write(level: str, part: str, event: str, values: dict[str, Any]) -> None:
        if LEVELS[level] < least:
            return
        if values.pop("exc_info", None):
            values["exception"] = traceback.format_exc().rstrip()
        values |= {"event": event, "part": part, "program": program, "level": level}
        line = {**hide_secrets(None, level, values), "timestamp": _now()}
        sys.stderr.write(json.dumps(line, ensure_ascii=False, default=repr) + "\n")

    _use(write, "debug" if debug else "info")


def listen(listener: Listener) -> Callable[[], None]:
    """Have a listener get each line that is written, as text; returns what ends that."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def hide_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Return the log event with the values of secret-bearing keys replaced."""
    for key in event:
        if _SECRET.search(key):
            event[key] = "***"
    return event


def _with_structlog(level: str, part: str, event: str, values: dict[str, Any]) -> None:
    import structlog  # noqa: PLC0415 - see the module's text

    structlog.get_logger(part=part).log(LEVELS[level], event, **values)


def _emit(level: str, part: str, event: str, values: dict[str, Any]) -> None:
    if _listeners and LEVELS[level] >= LEVELS[_least]:
        text = _line(part, event, dict(values))
        for listener in _listeners:
            listener(level, text)
    _writer(level, part, event, values)


def _line(part: str, event: str, values: dict[str, Any]) -> str:
    raised = values.pop("exc_info", None)
    told = " ".join(f"{key}={value}" for key, value in hide_secrets(None, "", values).items())
    text = f"{part}: {event} {told}".rstrip()
    if isinstance(raised, BaseException):
        return f"{text}\n{''.join(traceback.format_exception(raised)).rstrip()}"
    return f"{text}\n{traceback.format_exc().rstrip()}" if raised else text


def _use(writer: Writer, least: str) -> None:
    global _writer, _least
    _writer, _least = writer, least


def _now() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"


_writer: Writer = _with_structlog
_least = "info"
_listeners: list[Listener] = []
