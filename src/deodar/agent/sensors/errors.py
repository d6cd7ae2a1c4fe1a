"""Errors of the sensors.

The tree::

    DeodarError
    └── SensorError
        ├── SensorUnavailable   this sensor cannot run here; the text says why and what would help
        ├── BlobError           a BPF blob of the package or its manifest is damaged
        └── MalformedRecord     bytes from the kernel that are no record (counted, never shown)
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError


class SensorError(DeodarError):
    """Base of every error of a sensor."""


class SensorUnavailable(SensorError):  # noqa: N818  # a state of the host, not a fault
    """The kernel, the rights or the settings of this host do not allow the sensor."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BlobError(SensorError):
    """A committed blob does not fit its manifest; the package must be installed again."""


class MalformedRecord(SensorError):  # noqa: N818  # names what was found
    """Bytes that came from the kernel cannot be decoded."""
