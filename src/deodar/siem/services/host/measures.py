"""What a service measures of itself, for the conditions that the core judges."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from deodar.siem.services.wire import Measures, Partition

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.siem.collector.board import Report

_OTHERS = ("/", "/tmp", "/var", "/var/log")  # noqa: S108 - looked at, not written to
_NOT_MADE = ("skipped", "paused")
"""What enrichment rules call lookups that were not made, as too many others waited."""
_FEW = 4
"""Answers on their way; a journal with no more than these holds nothing back."""


def measure(report: Report | None, folder: Path, log_errors: int) -> Measures:
    """Return the measures of a collector by its report, None for one that does not run."""
    places = partitions(folder)
    if report is None:
        return Measures(log_errors=log_errors, partitions=places)
    given_up = sum(one.refused + one.lost_size + one.lost_age for one in report.destinations)
    waiting = max([report.waiting, *(one.waiting for one in report.destinations)])
    return Measures(
        lost=given_up,
        buffer_bytes=report.journal_bytes if waiting > _FEW else 0,
        enrichment_errors=report.counts.stages.enrichment_errors,
        enrichment_queue=sum(
            one.counts.get(what, 0) for one in report.pipeline.rules for what in _NOT_MADE
        ),
        log_errors=log_errors,
        partitions=places,
    )


def partitions(folder: Path) -> tuple[Partition, ...]:
    """Return the file system of a folder, and the others that every host needs."""
    found: dict[int, Partition] = {}
    for path in (str(folder), *_OTHERS):
        try:
            device = os.stat(path).st_dev  # noqa: PTH116 - of a mount point as well
            usage = shutil.disk_usage(path)
        except OSError:
            continue
        if device not in found:
            state = path == str(folder)
            found[device] = Partition(path[:256], usage.free, usage.total, state)
    return tuple(found.values())
