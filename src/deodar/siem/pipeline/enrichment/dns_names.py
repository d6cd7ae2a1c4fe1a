"""Names of addresses, and addresses of names, asked of DNS servers within a limit of time.

Answers are kept for as long as they say, within bounds. A batch waits no longer than `timeout`,
however slow the servers are; what is not answered by then counts as an error, and is not asked
again for a while. When a batch got no answer at all, no server is asked for half a minute, so that
dead servers cost one timeout in that time and not one for each batch.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from deodar.columnar.values import FAILED
from deodar.kit.logging import logger
from deodar.siem.pipeline.enrichment.base import (
    Enricher,
    Kind,
    RuleSettings,
    Surroundings,
    source,
    target,
)
from deodar.siem.pipeline.enrichment.resolver import Found, Question, Resolver, Server
from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.filters.operators import address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from deodar.siem.pipeline.enrichment.base import Answer, Key
    from deodar.siem.pipeline.fields import FieldRef

RESOLV_CONF = Path("/etc/resolv.conf")
PAUSE_SECONDS = 30.0
_log = logger("siem.collector")
_OUTCOMES = ("from_cache", "found", "not_found", "unanswered", "skipped", "paused")
_LONGEST_NAME = 253
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


class DnsSettings(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What DNS knows of `field` goes into `target`: with `direction` ``reverse`` an address's name.

    ``forward`` asks for a name's address of `family`. `servers` are addresses, with :port if it is
    not 53; without them those of /etc/resolv.conf are asked. `timeout` is for a whole batch;
    `concurrency` questions are under way at once, `max_queries` at most in one batch. `cache_size`
    answers are kept, for as long as they say but at most `cache_seconds`, and `negative_seconds`
    when nothing was found or answered.
    """

    field: str
    target: str
    direction: Literal["reverse", "forward"] = "reverse"
    family: Literal["ipv4", "ipv6"] = "ipv4"
    servers: Annotated[list[str], msgspec.Meta(max_length=8)] = msgspec.field(default_factory=list)
    timeout: Annotated[float, msgspec.Meta(ge=0.05, le=30)] = 1.0
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 64
    max_queries: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    cache_size: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    cache_seconds: Annotated[float, msgspec.Meta(ge=1, le=604_800)] = 3600.0
    negative_seconds: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 60.0


class Dns(Enricher):
    """Answers from the cache and from servers."""

    def __init__(self, settings: DnsSettings, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(*_fields(settings))
        self._settings = settings
        self._clock = clock
        self._resolver = Resolver(_servers(settings.servers), settings.concurrency)
        self._cache: OrderedDict[Question, tuple[Found | None, float]] = OrderedDict()
        self._paused_until = 0.0
        self._counts = dict.fromkeys(_OUTCOMES, 0)  # its keys never change: others read it

    def answers(self, keys: Sequence[Key]) -> Sequence[Answer]:
        """Return names or addresses; FAILED for what was not answered in time."""
        questions = [self._question(text) for (text,) in keys]
        wanted = dict.fromkeys(one for one in questions if one is not None)
        known = {one: self._cached(one) for one in wanted if self._is_cached(one)}
        self._counts["from_cache"] += len(known)
        self._resolve([one for one in wanted if one not in known], known)
        return [None if one is None else _answer(known.get(one)) for one in questions]

    def counters(self) -> Mapping[str, int]:
        """Return questions by what became of them, and how many answers are kept.

        It may be called while another thread asks for answers.
        """
        return {**self._counts, "cached": len(self._cache)}

    def _question(self, text: str) -> Question | None:
        if self._settings.direction == "reverse":
            found = address(text)
            return None if found is None else Question(found.reverse_pointer, "PTR")
        name = text.rstrip(".").lower()
        if address(name) is not None or len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            return None
        return Question(name, "A" if self._settings.family == "ipv4" else "AAAA")

    def _is_cached(self, question: Question) -> bool:
        entry = self._cache.get(question)
        return entry is not None and entry[1] > self._clock()

    def _cached(self, question: Question) -> Found | None:
        self._cache.move_to_end(question)
        return self._cache[question][0]

    def _resolve(self, missing: Sequence[Question], known: dict[Question, Found | None]) -> None:
        if self._clock() < self._paused_until:
            self._counts["paused"] += len(missing)
            return
        asked = missing[: self._settings.max_queries]
        self._counts["skipped"] += len(missing) - len(asked)
        if not asked:
            return
        found = self._resolver.ask(asked, self._settings.timeout)
        if not found:
            self._paused_until = self._clock() + PAUSE_SECONDS
            _log.warning("no DNS server answers", rule=self._settings.name, pause=PAUSE_SECONDS)
        for question in asked:
            known[question] = found.get(question)
            self._keep(question, found.get(question))

    def _keep(self, question: Question, found: Found | None) -> None:
        settings = self._settings
        if found is None:
            outcome, seconds = "unanswered", settings.negative_seconds
        elif found.values:
            outcome, seconds = "found", min(float(found.seconds), settings.cache_seconds)
        else:
            outcome, seconds = "not_found", settings.negative_seconds
        self._counts[outcome] += 1
        self._cache[question] = (found, self._clock() + max(1.0, seconds))
        self._cache.move_to_end(question)
        while len(self._cache) > settings.cache_size:
            self._cache.popitem(last=False)


def _answer(found: Found | None) -> Answer:
    if found is None:
        return FAILED
    return (found.values[0],) if found.values else None


def _servers(written: Sequence[str]) -> list[Server]:
    if written:
        return [_server(text) for text in written]
    try:
        lines = RESOLV_CONF.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise RuleError(f"servers: none are set, and {RESOLV_CONF} cannot be read") from error
    words = [line.split() for line in lines]
    found = [one[1] for one in words if len(one) > 1 and one[0] == "nameserver"]
    servers = [Server(text) for text in found if address(text) is not None]
    if not servers:
        raise RuleError(f"servers: none are set, and {RESOLV_CONF} names none")
    return servers


def _server(text: str) -> Server:
    host, port = text, "53"
    if address(text) is None:
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
    if address(host) is None or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise RuleError(
            f"servers: {text!r} is no address of a server, such as 10.0.0.53 or 10.0.0.53:5353"
        )
    return Server(host, int(port))


def _fields(settings: DnsSettings) -> tuple[list[FieldRef], list[FieldRef]]:
    reads, targets = [source(settings.field)], [target(settings.target)]
    for ref, key in ((reads[0], "field"), (targets[0], "target")):
        if ref.kind != "string":
            raise RuleError(f"{key}: {ref.name} holds no text")
    return reads, targets


def _check(settings: DnsSettings) -> None:
    _fields(settings)
    for text in settings.servers:
        _server(text)


def open_dns(settings: DnsSettings, _around: Surroundings) -> Enricher:
    """Return the enricher."""
    return Dns(settings)


KIND = Kind("dns", "names of addresses, addresses of names", DnsSettings, open_dns, _check)
