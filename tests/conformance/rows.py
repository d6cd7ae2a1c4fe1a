"""What a server of KATA's API for external systems must do, row by row.

The rows are listed here, so that one without a test is found. `known` says where a row is from;
`ours` what Deodar decided where nothing is publicly known.
"""

from __future__ import annotations

from typing import NamedTuple

HELP = "vendor's help"
GUIDE = "KUMA's guide"
CLIENT = "what clients do"
OPEN = "not known"

SECTIONS = {
    "1.1": "Events API: the request",
    "1.2": "Events API: tokens",
    "1.3": "Events API: the answer",
    "1.4": "Events API: codes and texts",
    "2": "External systems and their authorisation",
    "4.1": "Alerts (detects)",
    "4.2": "Scans of files",
    "4.3": "Response API",
}


class Row(NamedTuple):
    """One thing that can be seen from outside."""

    section: str
    text: str
    known: str
    ours: str = ""


ROWS = (
    Row("1.1", "the method is GET only", HELP, "others get 405"),
    Row("1.1", "the URL is /kata/events_api/v1/ID/events", HELP, "another tail gets 404"),
    Row("1.1", "the port is 443", HELP, "9443 by default, whatever `port` of edr.toml says"),
    Row("1.1", "the client certificate authorises each call, no header does", HELP),
    Row("1.1", "filter is optional and URL-encoded", HELP),
    Row("1.1", "max_timeout is the longest time to collect events", HELP),
    Row("1.1", "max_timeout is an ISO 8601 duration: PT30S, PT60S", CLIENT),
    Row(
        "1.1",
        "max_timeout in every other form of ISO 8601, bad ones are refused",
        OPEN,
        "400 with the column; PT0S gives what is there",
    ),
    Row("1.1", "max_events is the most events in an answer", HELP),
    Row("1.1", "continuation_token goes on behind the answer before", HELP),
    Row("1.1", "max_events above the server's value is refused", GUIDE),
    Row(
        "1.1",
        "max_timeout above the server's value is refused",
        OPEN,
        "400; `max_fetch_timeout` is 300 s, clearly under the clients' own limits",
    ),
    Row("1.1", "what is not given is the server's value", GUIDE, "10,000 events, 5 s"),
    Row("1.1", "0 events and empty values are the server's values", GUIDE),
    Row("1.1", "events&continuation_token=… without a question mark is understood", HELP),
    Row("1.1", "events=?filter=… is understood", HELP),
    Row("1.1", "misspellings are never produced", OPEN),
    Row("1.1", "unknown parameters are passed over", OPEN, "of one given twice the last counts"),
    Row("1.1", "an id need not be a UUID", CLIENT, "letters, digits and ._:- up to 128; else 400"),
    Row("1.2", "a request without token gets one, and what is available", HELP),
    Row("1.2", "each later request without token begins anew", HELP),
    Row("1.2", "a token leads on without a gap and without a repeat", HELP),
    Row("1.2", "every answer has a token, an empty one too", CLIENT),
    Row("1.2", "a token is one printable line that needs no URL encoding", CLIENT),
    Row("1.2", "the filter of the first request is remembered", HELP),
    Row(
        "1.2",
        "another filter sent with a token",
        OPEN,
        "it replaces the remembered one from that request on",
    ),
    Row(
        "1.2",
        "events can be fetched for two hours",
        HELP,
        "a token is refused when it was issued longer ago and an event behind it is older",
    ),
    Row("1.2", "nothing is sent without a request", HELP),
    Row("1.2", "a token that is not good: Continuation token not found", GUIDE, "404"),
    Row("1.2", "the log says why a token is not good", OPEN),
    Row("1.2", "each server of several has its own events only", HELP),
    Row("1.2", "a token survives a restart", OPEN, "so does its filter"),
    Row("1.2", "a token may be sent again", OPEN, "it gives the same and what came since"),
    Row("1.3", "the answer is one JSON object with events and continuationToken", CLIENT),
    Row("1.3", "an answer without events has an empty list", CLIENT),
    Row(
        "1.3",
        "Content-Type is application/octet-stream",
        CLIENT,
        "application/json; `events_api.content_type` switches",
    ),
    Row("1.3", "Timestamp is in microseconds, an integer", CLIENT),
    Row("1.3", "Ioa is there only when a rule marked the event", CLIENT),
    Row("1.3", "an event's fields are those of filters, nested by the dot", HELP),
    Row("1.3", "EventType has the documented values", HELP),
    Row(
        "1.3",
        "an event is below 4 MB, the most that KUMA takes",
        HELP,
        "a larger one becomes a dead letter when it comes in",
    ),
    Row("1.4", "200 with events, possibly none", HELP),
    Row("1.4", 'not authorised: 401 {"error": "Unauthorized"}', CLIENT),
    Row("1.4", "authorised and not any more: 401", CLIENT),
    Row("1.4", "wrong parameters: 400", HELP, "the text begins with Bad Request and names it"),
    Row("1.4", "an address and certificate known under another id: Conflict", GUIDE, "409"),
    Row("1.4", "too many requests", HELP, "429 with Retry-After; for each system by itself"),
    Row("1.4", "an internal error is to be repeated: 500, 502, 503, 504", HELP, "503, Retry-After"),
    Row("2", "any request with an id and a certificate asks for authorisation", HELP),
    Row("2", "before acceptance: 401", CLIENT),
    Row("2", "only authorised systems can use the API", HELP),
    Row("2", "several with one id and certificate make one request", HELP),
    Row("2", "another certificate repeats the procedure", HELP, "the old one holds until then"),
    Row("2", "the list shows address, name, id, fingerprint, state", HELP),
    Row("2", "the fingerprint can be compared with the client's own tools", HELP, "SHA-256"),
    Row("2", "accept, reject", HELP),
    Row("2", "states", OPEN, "pending, accepted, rejected; rejected ones stay until deleted"),
    Row("2", "accepting and rejecting is audited", HELP),
    Row("2", "after a revocation it must be accepted again", CLIENT),
    Row("2", "address and certificate are unique", GUIDE, "whatever the other id's state is"),
    Row("2", "certificates are self-signed as clients make them", CLIENT),
    Row("2", "a certificate from an authority works too", CLIENT),
    Row("2", "the certificate's dates are checked", OPEN, "401; the log says which"),
    Row("2", "all nodes behind one name share authorisations and tokens", HELP),
    Row("2", "a changed id or address is a new initial request", GUIDE),
    Row("2", "history comes first, then what is new", GUIDE, "`events_api.history`"),
    Row("2", "a client that repeats at once on 401 makes one request", CLIENT, "and is slowed"),
    Row("2", "several clients with one identity read independently", HELP),
    Row("2", "after Continuation token not found another certificate helps", GUIDE, "so does none"),
    Row(
        "4.1", "without a token: every alert, and a token to go on with", HELP, "`alerts`, `token`"
    ),
    Row("4.1", "with the token only what came since, and a token again", HELP),
    Row("4.1", 'the token is JSON in hexadecimal, such as {"offset": 0}', CLIENT),
    Row(
        "4.1", "detect_type is a list with commas of am, sb, yara, url_reputation, ids", HELP, "taa"
    ),
    Row("4.1", "limit goes from 1 to 10,000 and is 1,000 by default", HELP),
    Row("4.1", "an alert has its id, two times, importance, source, technology, object", HELP),
    Row("4.1", "400 for wrong parameters", HELP),
    Row("4.1", "401 for who is not authorised; the first request asks for it", HELP),
    Row("4.1", "429 when there are too many requests", HELP, "with Retry-After"),
    Row("4.1", "other methods get 405", OPEN),
    Row("4.2", "POST scans: content, scanId, objectType=file as a form; 200 OK", HELP),
    Row(
        "4.2",
        "states: processing, detect, not detected, error, timeout",
        CLIENT,
        "`error` also while there are no YARA rules",
    ),
    Row("4.2", "a find is an alert of technology yara", OPEN, "source external"),
    Row("4.2", "sensorInstanceId may be a parameter, a field of the form, or missing", CLIENT),
    Row("4.2", "GET scans/state is filtered by a list of states", CLIENT),
    Row("4.2", "204 when there is nothing to tell", CLIENT),
    Row("4.2", "DELETE scans/ID forgets one result, 404 when there is none", HELP),
    Row("4.2", "DELETE scans forgets all results", HELP, "of one instance, if one is given"),
    Row(
        "4.2",
        "GET scans/filters tells what is scanned at all",
        CLIENT,
        "`objectTypes`, `minFileSize`, `maxFileSize`",
    ),
    Row("4.2", "400 for wrong parameters, 413 for a file above the limit", HELP, "413 is ours"),
    Row("4.2", "a scan id that comes again takes the place of the one before", OPEN),
    Row("4.2", "401 for who is not authorised; one system never sees another's scans", HELP),
    Row("4.3", "GET sensors: the server's version and the hosts", HELP),
    Row(
        "4.3",
        "sensors are filtered by ip, host (case matters) and sensor_id together",
        HELP,
        "404 when none is left",
    ),
    Row(
        "4.3",
        "GET settings: the isolation of a host, also when there is none",
        HELP,
        "`state` is active, inactive or absent",
    ),
    Row("4.3", "POST settings isolates at once, with exclusions and a timer", HELP),
    Row("4.3", "DELETE settings ends the isolation", CLIENT),
    Row(
        "4.3",
        "the timer goes from 1 to 9,999 hours, in seconds",
        HELP,
        "without one it lasts until it is deleted",
    ),
    Row("4.3", "when its time is over isolation is inactive, but its rule stays", HELP),
    Row("4.3", "network_izolation, and settings as a list, are understood, never written", HELP),
    Row("4.3", "exclusions: direction, protocol, addresses, ports with one direction only", HELP),
    Row("4.3", "POST prevention replaces the list, of a host or of all", HELP, "10,000 at most"),
    Row("4.3", "an empty list, or DELETE, ends prevention", HELP),
    Row("4.3", "POST tasks/ID: run_process, under the client's own id", HELP, "any name of 64"),
    Row("4.3", "GET tasks/ID: the state, with settings unless settings=false", HELP),
    Row("4.3", "shedule, as an older page has it, is understood and never written", HELP),
    Row("4.3", "409 for a task id that was used", HELP),
    Row("4.3", "DELETE tasks/ID withdraws a task", OPEN, "what was begun goes on"),
    Row("4.3", "400 for wrong parameters (not 401, as two pages print)", HELP),
    Row("4.3", "401 for who is not authorised (not 400, as two pages print)", HELP),
    Row("4.3", "404 for a host or a task that is not there", HELP),
    Row("4.3", "an internal error is to be repeated: 500, 502, 503, 504", HELP, "503, Retry-After"),
    Row("4.3", "a setting lets external systems read only: 403", OPEN, "`may_respond`"),
)
