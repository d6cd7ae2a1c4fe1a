"""Writes the pages of docs/reference that are made from the code; ``--check`` only compares.

Exit code 1 when a page is not what the code says.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
PAGES = {
    "aggregation.md": "deodar.siem.pipeline.aggregation.reference",
    "agent-events.md": "deodar.agent.journal.reference",
    "agent-settings.md": "deodar.tasks.reference",
    "command-line.md": "command_line",
    "connector-kata-edr-conformance.md": "tests.conformance.connector.page",
    "connectors.md": "deodar.siem.connectors.reference",
    "destinations.md": "deodar.siem.destinations.reference",
    "enrichment.md": "deodar.siem.pipeline.enrichment.reference",
    "events.md": "deodar.events.reference",
    "edr-api.md": "deodar.edr.api.reference",
    "edr-openapi.json": "deodar.edr.api.openapi",
    "event-model.md": "deodar.siem.storage.reference",
    "filter-language.md": "deodar.siem.pipeline.filters.reference",
    "kata-conformance.md": "tests.conformance.page",
    "kernels.md": "tests.kernels.page",
    "kesl-control.md": "deodar.agent.kesl_control",
    "normalizer-kedr.md": "deodar.siem.normalizers.reference",
    "siem-api.md": "deodar.siem.services.api.reference",
    "siem-services.md": "deodar.siem.services.reference",
    "siem-openapi.json": "deodar.siem.services.api.openapi",
    "telemetry.md": "deodar.events.kinds_reference",
    "tiers.md": "deodar.events.tiers_reference",
}
"""Each page and the module whose ``page()`` returns its text."""


def render(name: str, module: str) -> str:
    """Return a page's text; ``page()`` gets what tests saw, if a file beside the page tells it."""
    seen = (FOLDER / name).with_suffix(".seen.json")
    told = {"seen": json.loads(seen.read_text("utf-8"))} if seen.is_file() else {}
    return str(import_module(module).page(**told))


def main(arguments: list[str]) -> int:
    """Write or compare every page; return the exit code."""
    sys.path.append(str(ROOT))  # for the page about what tests saw on other kernels
    stale = []
    for name, module in PAGES.items():
        text = render(name, module)
        path = FOLDER / name
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        if "--check" in arguments:
            stale.append(name)
        else:
            path.write_text(text, "utf-8")
            print(f"wrote {path}")
    if stale:
        print(f"not what the code says: {', '.join(stale)}; run: make docs")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
