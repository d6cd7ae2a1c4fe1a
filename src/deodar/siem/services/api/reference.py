"""The reference page of the REST API, made from its operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.siem.services.api.app import ROUTERS, operations

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """\
# The SIEM's REST API

<!-- Made by `make docs` from the operations. -->

What `deodar siem resource-set` and `deodar siem service` do, for scripts, over TLS on the core's
REST port (`rest_port` in `siem.toml`, 7223). [siem-openapi.json](siem-openapi.json) has parameters,
bodies and codes; the running core serves the same at `/api/v1/openapi.json`.

**Who asks.** `Authorization: Bearer deodar-siem:…`; `deodar siem api-token create` makes a token.
The certificate is that of the core's own authority (`authority.pem` in its folder). Roles: `viewer`
sees everything, `administrator` may do all; the tables name the least one.

**Answers.** JSON. What is no success has the form `{"error": text}`. 401: no good token; 403: its
role is too low; 404: there is none of that name; 409: it cannot be done as things stand; 413: more
than 24 MB; 422: what was sent is wrong, the text names the key; 503 has `Retry-After`. Times are µs
since the epoch.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for one in operations(ROUTERS):
        about = " ".join(one.about.split()).replace("|", "\\|")
        row = f"| `{one.method} {one.path}` | `{one.role}` | {about} |"
        by_tag.setdefault(one.tag, []).append(row)
    for tag, rows in by_tag.items():
        yield f"## {tag[:1].upper()}{tag[1:]}\n"
        yield "| Request | Least role | What it does |\n|---|---|---|"
        yield from rows
        yield ""
