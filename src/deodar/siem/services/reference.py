"""The reference page of services: statuses, conditions, settings; made from the code."""

from __future__ import annotations

import msgspec

from deodar.siem.services.conditions import CONDITIONS, Condition
from deodar.siem.services.settings import AlertSettings, ServicesSettings

HEAD = """\
# Services

<!-- Made by `make docs` from the code. -->

[Run collectors as services](../how-to/services.md) shows how.

What a service and its core tell each other is JSON over TLS on the core's port, below
`/services/v1/ID/`: `pair` (a one-time token against a certificate), `reissue` (the recovery secret,
after a reset), `renew`, `settings` and `report`.

## Conditions that make a service yellow

Names as in KUMA. A count or what waits "increases" by its growth between the first and the last
report of the window (`window_seconds`); a new start of the process begins anew. The threshold is a
setting below `[alerts]` in `siem.toml`.

| Condition | What it means | Threshold | Default |
|---|---|---|---|
"""

SETTINGS = """
## Settings of the core, `[services]` in `siem.toml`

| Setting | Default |
|---|---|
"""


def _row(one: Condition, default: float) -> str:
    return f"| {one.name} | {one.about} | `{one.threshold}` | {_number(default)} |\n"


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value:,}"


def page() -> str:
    """Return the whole page as Markdown."""
    alerts, services = AlertSettings(), ServicesSettings()
    rows = [_row(one, getattr(alerts, one.threshold)) for one in CONDITIONS]
    settings = [
        f"| `{name}` | {value if value != '' else '(empty)'} |\n"
        for name, value in msgspec.structs.asdict(services).items()
    ]
    about = (ServicesSettings.__doc__ or "").replace("\n    ", "\n").strip()
    window = f"\n`window_seconds` is {alerts.window_seconds:g} by default.\n"
    return HEAD + "".join(rows) + window + SETTINGS + "".join(settings) + f"\n{about}\n"
