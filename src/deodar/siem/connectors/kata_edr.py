"""The ``kata/edr`` connector as a state machine: what happened goes in, what to do comes out.

It does no I/O and reads no clock; `now` is any clock that does not go back, in seconds. The driver
carries out each list of commands in order, and reports what came of the last one. Source of the
protocol: KATA's events API for external systems; of statuses and settings: KUMA's connector of the
same kind.

The way of one request::

    Request ─▶ answered(200) ─▶ Deliver, Request         the token moves on with the Deliver
            ─▶ answered(other) ─▶ Wait or Request        the next server, the same token
            ─▶ failed(...)     ─▶ Wait or Request

The token only ever moves to one that the server gave with an answer that was delivered.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from deodar.siem.connectors import kata_edr_problems as problems
from deodar.siem.connectors.backoff import retry_after
from deodar.siem.connectors.kata_edr_settings import iso_duration
from deodar.siem.connectors.status import ServerState, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deodar.siem.connectors.kata_edr_answer import Summary
    from deodar.siem.connectors.kata_edr_problems import Problem
    from deodar.siem.connectors.kata_edr_settings import KataEdrSettings

LONGEST_WAIT = 3600.0
SHORTEST_WAIT = 0.01
IDLE_PAUSE = 0.25
ERRORS_UNTIL_YELLOW = 3
FIRST_SHRINK = 10_000
FEWEST_EVENTS = 10
SUCCESSES_UNTIL_GROWTH = 10
TOKENS_REMEMBERED = 16


@dataclass(frozen=True)
class Request:
    """Ask `url` with the query `params`; give up after `timeout` seconds in all."""

    url: str
    params: tuple[tuple[str, str], ...]
    timeout: float


@dataclass(frozen=True)
class Wait:
    """Do nothing for that many seconds, then call `elapsed`."""

    seconds: float


@dataclass(frozen=True)
class Deliver:
    """Make the last answer's body durable together with the token that follows it."""

    url: str
    token_before: str | None
    token_after: str
    has_events: bool


@dataclass(frozen=True)
class KeepAside:
    """Keep the last answer's body as a dead letter: it cannot be used."""

    url: str
    reason: str


Command = Request | Wait | Deliver | KeepAside


@dataclass(frozen=True)
class Answer:
    """What a server answered: status, headers (lower-case names), and what its body says."""

    status: int
    headers: Mapping[str, str]
    summary: Summary


@dataclass
class _Server:
    url: str
    failures: int = 0
    not_before: float = 0.0
    error: str = ""


class KataEdr:
    """One connector's state; `token` is where it is, `status` how it is."""

    def __init__(self, settings: KataEdrSettings, random: Random | None = None) -> None:
        self._settings = settings
        self._random = random or Random()  # noqa: S311 - jitter is no secret
        self._path = f"/kata/events_api/v1/{settings.external_id}/events"
        self._servers = [_Server(url) for url in settings.servers()]
        self._current = 0
        self._recent: deque[str] = deque(maxlen=TOKENS_REMEMBERED)
        self._problem: Problem | None = None
        self._answers = 0
        self._limit = settings.max_events
        self._ceiling = settings.max_events or FIRST_SHRINK
        self._since_shrink = 0
        self._asked_at = 0.0
        self._pause_until = 0.0
        self._last_aside = ""
        self.failures = 0
        self.token: str | None = None

    @property
    def status(self) -> Status:
        """Yellow until the first answer and while errors stand or grow; else green."""
        problem = self._problem
        if problem is not None and (problem.standing or not self._answers):
            return Status("yellow", problem.reason, problem.remedy)
        if problem is not None and self.failures >= ERRORS_UNTIL_YELLOW:
            reason = f"Connector log errors increasing: {problem.reason}"
            return Status("yellow", reason, problem.remedy)
        if not self._answers:
            return Status("yellow", "waiting for the first answer")
        return Status("green", "receiving events")

    @property
    def problem_kind(self) -> str:
        """The kind of what is wrong now, or ""."""
        return self._problem.kind if self._problem else ""

    def servers(self, now: float) -> tuple[ServerState, ...]:
        """Return the state of each server, in the order of the settings."""
        asked = self._servers[self._current]
        return tuple(
            ServerState(
                one.url, one.failures, one.error, max(0.0, one.not_before - now), one is asked
            )
            for one in self._servers
        )

    def start(self, token: str | None, now: float) -> list[Command]:
        """Begin with a saved token, or None for an initial request; returns what to do."""
        self.token = token
        self._recent.clear()
        self._last_aside = ""
        self._pause_until = now
        for server in self._servers:
            server.not_before = now
        return self._next(now)

    def elapsed(self, now: float) -> list[Command]:
        """Report that a Wait is over; returns what to do."""
        return self._next(now)

    def failed(self, kind: str, reason: str, now: float) -> list[Command]:
        """Report that no answer came (kind: network, timeout, tls, size); returns what to do."""
        return self._retry(problems.unreachable(kind, reason), now)

    def answered(self, answer: Answer, now: float) -> list[Command]:
        """Report an answer; returns what to do, Deliver before the next Request."""
        summary = answer.summary
        if answer.status != 200:
            problem = problems.recognise(answer.status, summary.error)
            return self._retry(problem, now, retry_after(answer.headers))
        if summary.problem or summary.token is None:
            return self._refuse(problems.misshapen(summary.problem), summary, now)
        if self._goes_back(summary, summary.token):
            return self._refuse(problems.no_progress(self._loop_reason(summary)), summary, now)
        return self._accept(summary, summary.token, now)

    def _accept(self, summary: Summary, token: str, now: float) -> list[Command]:
        server = self._servers[self._current]
        commands: list[Command] = []
        if token != self.token:
            commands.append(Deliver(server.url, self.token, token, summary.has_events))
            self._remember(token)
        self._succeed(server)
        if not summary.has_events:
            self._pause_until = max(now, self._asked_at + IDLE_PAUSE)
        return [*commands, *self._next(now)]

    def _remember(self, token: str) -> None:
        if self.token is not None:
            self._recent.append(self.token)
        self.token = token

    def _goes_back(self, summary: Summary, token: str) -> bool:
        """Whether the token would fetch again what was delivered already."""
        return token in self._recent or (token == self.token and summary.has_events)

    def _loop_reason(self, summary: Summary) -> str:
        which = "the same token" if summary.token == self.token else "an earlier token"
        return f"the server answered with {which} again"

    def _succeed(self, server: _Server) -> None:
        server.failures = self.failures = 0
        server.not_before, server.error = 0.0, ""
        self._problem = None
        self._answers += 1
        self._last_aside = ""
        self._since_shrink += 1
        if self._since_shrink >= SUCCESSES_UNTIL_GROWTH and self._limit != self._whole:
            self._since_shrink = 0
            self._limit = self._limit * 2
            if self._limit >= self._ceiling:
                self._limit = self._whole

    @property
    def _whole(self) -> int:
        return self._settings.max_events

    def _refuse(self, problem: Problem, summary: Summary, now: float) -> list[Command]:
        """Keep the body aside, once for each different body, and try again later."""
        server = self._servers[self._current]
        commands: list[Command] = []
        if summary.mark != self._last_aside:
            self._last_aside = summary.mark
            commands.append(KeepAside(server.url, problem.reason))
        return [*commands, *self._retry(problem, now)]

    def _retry(self, problem: Problem, now: float, asked: float | None = None) -> list[Command]:
        server = self._servers[self._current]
        server.failures += 1
        self.failures += 1
        self._problem, server.error = problem, problem.reason
        delay = problem.backoff.delay(server.failures, self._random)
        server.not_before = now + (delay if asked is None else max(asked, delay))
        if problem.kind == "max_events" and self._limit != self._whole:
            self._ceiling = self._limit  # a number of ours, above what this server allows
            self._shrink()
        elif problem.shrink:
            self._shrink()
        self._current = (self._current + 1) % len(self._servers)
        return self._next(now)

    def _shrink(self) -> None:
        self._since_shrink = 0
        smaller = (self._limit or FIRST_SHRINK) // 2
        self._limit = max(smaller, min(FEWEST_EVENTS, self._whole or FEWEST_EVENTS))

    def _next(self, now: float) -> list[Command]:
        """Ask the first server, from the current one on, that may be asked now; else wait."""
        if now < self._pause_until:
            return [self._wait(self._pause_until - now)]
        count = len(self._servers)
        for index in ((self._current + step) % count for step in range(count)):
            if self._servers[index].not_before <= now:
                self._current = index
                self._asked_at = now
                return [self._request(self._servers[index].url)]
        return [self._wait(min(server.not_before for server in self._servers) - now)]

    def _wait(self, seconds: float) -> Wait:
        return Wait(min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT))

    def _request(self, url: str) -> Request:
        settings = self._settings
        params = [("filter", settings.filter)] if settings.filter else []
        if settings.max_timeout:
            params.append(("max_timeout", iso_duration(settings.max_timeout)))
        if self._limit:
            params.append(("max_events", str(self._limit)))
        if self.token is not None:
            params.append(("continuation_token", self.token))
        return Request(url + self._path, tuple(params), settings.patience)
