"""What the ``kata/edr`` connector must do, row by row, after KUMA's connector of that kind.

The rows are listed here, so that one without a test is found. `ours` is what Deodar decided where
KUMA's help leaves it open, or does better.
"""

from __future__ import annotations

from typing import NamedTuple

SECTIONS = {
    "1.1": "Settings",
    "1.2": "Life cycle and behaviour",
    "1.3": "Statuses",
    "1.4": "Errors and their remedies",
    "5": "A server that misbehaves",
}


class Row(NamedTuple):
    """One thing that can be seen from outside."""

    section: str
    text: str
    ours: str = ""


ROWS = (
    Row("1.1", "name: at most 128 characters", "in one line"),
    Row("1.1", "tenant: the collector's events belong to it"),
    Row("1.1", "type: kata/edr"),
    Row("1.1", "tags: resources are found by them", "`collector list --tag`"),
    Row("1.1", "URL: host:port, IPv4:port and [IPv6%zone]:port, 443 by default"),
    Row("1.1", "URL: saving is refused with a tab or a blank in it"),
    Row("1.1", "secret: a certificate with its key, made by a button or uploaded",
        "made with the collector; `collector new-certificate`"),
    Row("1.1", "external id: generated, a UUID"),
    Row("1.1", "description: at most 4,000 characters"),
    Row("1.1", "debug: a detailed log"),
    Row("1.1", "character encoding: converted to UTF-8; none by default",
        "what cannot be converted becomes U+FFFD and is counted"),
    Row("1.1", "number of events: 0 leaves it to the server, N is asked for"),
    Row("1.1", "events fetch timeout: 0 leaves it to the server, N is asked for",
        "as an ISO 8601 duration, also of fractions"),
    Row("1.1", "client timeout: 0 means 1,800 s; after it the request is repeated"),
    Row("1.1", "client timeout: greater than the events fetch timeout", "else refused"),
    Row("1.1", "KEDRQL filter: sent with each request"),
    Row("1.2", "1 several URLs are nodes of one cluster, tried in sequence",
        "each with its own errors and pause"),
    Row("1.2", "2 one collector for each server of a distributed installation"),
    Row("1.2", "3 the parser is the normalizer for KEDR telemetry"),
    Row("1.2", "4 the first request asks for authorization; yellow until accepted"),
    Row("1.2", "5 after acceptance it goes on by itself, green after the first answer"),
    Row("1.2", "6 history comes first, current events follow"),
    Row("1.2", "7 another URL or external id makes an initial request",
        "announced by `collector set` before it is saved"),
    Row("1.2", "8 history can be left out",
        '`start`: "from now on" or a time; what is older is dropped and counted'),
    Row("1.2", "9 a KEDR server from 5.1 on", "the requests of 1.1 to 1.4, no other"),
    Row("1.2", "10 the token survives a restart; it belongs to connector and certificate",
        "kept for each set of servers, external id and certificate"),
    Row("1.2", "11 the collector's files lie in a folder of its own"),
    Row("1.2", "12 ask, wait, hand over, keep the token, ask again at once",
        "answer and token are durable together, before the next request"),
    Row("1.3", "installed and not accepted yet: yellow"),
    Row("1.3", "accepted, waiting for the first answer: yellow"),
    Row("1.3", "first answer received: green"),
    Row("1.3", "errors keep growing: yellow, Connector log errors increasing"),
    Row("1.3", "the process is down: red"),
    Row("1.4", "400 max_events N is greater than the allowed value"),
    Row("1.4", "409 Conflict: an external system with this ip and certificate digest exists",
        "`collector new-certificate`"),
    Row("1.4", "Continuation token not found",
        '`collector reset-token`, with `--start "from now on"` without what is older'),
    Row("1.4", "401 while not accepted"),
    Row("5", "slow: longer than the client timeout", "fewer events are asked for"),
    Row("5", "slow: byte by byte, within the client timeout"),
    Row("5", "cut in mid answer", "the same token again"),
    Row("5", "4xx", "told with the text, the token stays"),
    Row("5", "5xx, and 503 with Retry-After", "back-off with jitter; Retry-After is kept"),
    Row("5", "another content type", "what counts is the body"),
    Row("5", "a page of HTML with status 200", "kept among the dead letters, once"),
    Row("5", "a body of 100 MB", "taken; one over max_body_bytes is not read to its end"),
    Row("5", "an event of more than 4 MB", "a dead letter, the others are stored"),
    Row("5", "invalid JSON in one event", "a dead letter, the others are stored"),
    Row("5", "the same token again, with events", "noticed; its events are not taken twice"),
    Row("5", "an earlier token again", "noticed as well"),
    Row("5", "another certificate", "refused and told, whether pinned or trusted on first use"),
    Row("5", "a clock that is wrong by days", "no time of the server's is compared with ours"),
    Row("5", "a redirect", "not followed"),
    Row("5", "HTTP/2 alone", "told as that"),
)  # fmt: skip
