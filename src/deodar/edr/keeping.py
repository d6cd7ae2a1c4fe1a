"""Retention of the event log as the settings say, with a row in the audit trail for each day."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deodar.edr.database import record
from deodar.edr.errors import ControlDataError
from deodar.edr.log.retention import Dropped, Keep, Retention
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from deodar.edr.database import Database
    from deodar.edr.log.view import View
    from deodar.edr.settings import EdrSettings
    from deodar.store.engine import Engine

ACTION = "events_dropped"
USER = "retention"

log = logger("edr.keeping")


def retention(settings: EdrSettings, engine: Engine, opened: View, database: Database) -> Retention:
    """Return what keeps a log within the settings' bounds."""
    keep = Keep(settings.retention_days, settings.retention_bytes)

    def tell(dropped: Dropped) -> None:
        # The day is gone already: a database that is away must not keep further days.
        try:
            with database.write() as connection:
                record(connection, ACTION, dropped.day.name, _details(dropped), USER)
        except ControlDataError as error:
            log.warning("drop_not_audited", day=dropped.day.name, reason=str(error))

    return Retention(engine, opened, keep, tell)


def _details(dropped: Dropped) -> str:
    day = dropped.day
    told = {"reason": dropped.reason, "events": day.events, "bytes": day.size}
    return json.dumps({**told, "last_seq": dropped.last_seq})
