"""The core's settings of services (``[services]``) and of their alerts (``[alerts]``)."""

from __future__ import annotations

from typing import Annotated

import msgspec

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
_Rate = Annotated[float, msgspec.Meta(gt=0)]
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]


class ServicesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How services are kept. Empty `database`: SQLite in the core's folder.

    `address` is the core's URL in install commands, if it is not the one that it listens on. A
    service reports every `report_seconds`, and is red after `silent_seconds` without a report. A
    pairing token is good for `token_hours`, a certificate for `certificate_days`.
    """

    database: str = ""
    address: str = ""
    report_seconds: _Seconds = 5.0
    silent_seconds: _Seconds = 60.0
    token_hours: Annotated[float, msgspec.Meta(gt=0, le=720)] = 24.0
    certificate_days: Annotated[int, msgspec.Meta(ge=1, le=825)] = 365


class AlertSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From where on a condition makes a service yellow.

    What increases is looked at over `window_seconds`; a condition is over when it did not hold for
    as long.
    """

    window_seconds: Annotated[float, msgspec.Meta(ge=1, le=150)] = 60.0
    searches_per_second: _Rate = 50.0
    failed_inserts_per_second: _Rate = 0.05
    distribution_queue: _Count = 100
    disk_free_percent: _Percent = 10.0
    partition_free_percent: _Percent = 5.0
    buffer_growth_bytes: _Count = 64 << 20
    enrichment_queue: _Count = 1_000
    lost_events: _Count = 1
    enrichment_errors: _Count = 1
    log_errors: _Count = 1
