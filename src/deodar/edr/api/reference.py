"""The reference page of the management API, made from its operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.edr.api.openapi import PREFIX
from deodar.edr.api.operations import operations
from deodar.edr.api.resources import RESOURCES
from deodar.edr.users.roles import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deodar.edr.api.operations import Operation

HEAD = """\
# The EDR server's management API

<!-- Made by `make docs` from the operations. -->

Everything that `deodar edr` does to control data, for the console and for scripts, under `/api/v1`
on the server's port (9443). [edr-openapi.json](edr-openapi.json) has parameters, bodies and codes;
the running server serves the same at `/api/v1/openapi.json`. [Administer an EDR
server](../how-to/administer-edr.md) shows how to make users and tokens.

**Who asks.** Scripts show an API token: `Authorization: Bearer deodar-api:…`. Browsers log in at
`POST /session` and get a cookie (`__Host-deodar`: Secure, HttpOnly, SameSite=Strict); with it,
every request but GET must carry `X-CSRF-Token` from the login's answer. A session ends after 30
minutes without use and after 12 hours in any case (`[sessions]` in `edr.toml`), at the logout, and
when its user's password, role or state changes. After 5 failed logins of a user, or 20 from an
address (an IPv6 address counts by its /64), more are refused for 30 seconds, and twice as long
after each further failure, up to an hour.

**Roles.** From the least to the most: `auditor`, `security_officer`, `senior_security_officer`,
`administrator`; each may do what those before it may. The tables name the least role. A token's
role is its user's or a lower one; what counts is the lower of it and the user's present one.

**Answers.** JSON. What is no success has the form `{"error": text}`. 400 or 422: what was sent is
wrong; 401: nobody is logged in; 403: the role is too low; 404: there is none of that name; 409: it
cannot be done as things stand; 413: the body has more than 1 MB (16 KB without login); 429 and 503
have `Retry-After`. Times are µs since the epoch.

**Lists** come in parts of up to `limit` (100, at most 1,000). `next` in an answer is the `after` of
the part that follows, null at the end. Rows that come and go in between neither repeat nor hide
others.

**The audit trail** has every change that is made here, with who, from where, what, before and
after. Nothing under `/api/v1` can change it.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join([HEAD, *_sections(operations(RESOURCES))])


def _sections(found: Iterable[Operation]) -> Iterator[str]:
    by_tag: dict[str, list[Operation]] = {}
    for one in found:
        by_tag.setdefault(one.tag, []).append(one)
    for tag, group in by_tag.items():
        yield f"## {tag[:1].upper()}{tag[1:]}\n"
        yield "| Request | Least role | What it does |\n|---|---|---|"
        yield from map(_row, group)
        yield ""


def _row(one: Operation) -> str:
    about = " ".join(one.about.split()).replace("|", "\\|")
    role = f"`{Role(one.role).value}`" if one.role else "anybody"
    return f"| `{one.method} {PREFIX}{one.path}` | {role} | {about} |"
