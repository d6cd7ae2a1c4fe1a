"""A recorded set of events, for hosts where no sensor can run.

The file was recorded with the agent's eBPF sensor on a Debian host while an administrator's shell
session ran; the host's name and addresses were replaced. It holds one marked command, like the one
that ``deodar demo --once`` runs where it can.
"""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_name("recorded.ndjson")
"""KEDR events, one JSON object a line."""

MARK = "deodar-demo-recorded"
"""The mark that one recorded command bears in its arguments."""
