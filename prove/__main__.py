"""``python -m prove delivery|outage […]``: exit code 1 when an event is lost or stored twice."""

from __future__ import annotations

import sys

from prove import delivery, outage

PROOFS = {"delivery": delivery.main, "outage": outage.main}


def main(arguments: list[str]) -> int:
    """Run one proof and return its exit code."""
    if not arguments or arguments[0] not in PROOFS:
        raise SystemExit(f"usage: python -m prove {'|'.join(PROOFS)} […]")
    return PROOFS[arguments[0]](arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
