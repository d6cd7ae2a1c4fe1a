"""Takes away what an agent that was killed may have left in the kernel: audit rules and settings.

``python -m deodar.agent.sensors.cleanup`` is for the package's removal. The eBPF programs need no
such thing: the kernel drops them with the process.
"""

from __future__ import annotations

import errno
import sys

from deodar.agent.sensors import audit_control as control
from deodar.agent.sensors import audit_settings
from deodar.kit.errors import DeodarError

_NOTHING = (errno.EPROTONOSUPPORT, errno.ECONNREFUSED)
"""Errors of hosts without an audit system, where nothing can have been left."""


def clean() -> list[str]:
    """Remove our audit rules, put back the audit settings; returns what was done.

    Raises DeodarError when the kernel does not allow it.
    """
    try:
        if control.status().enabled == control.LOCKED and control.own_rules():
            raise DeodarError("the audit rules are locked: they will go with the next boot")
        return [*remove_rules(), *audit_settings.put_back()]
    except OSError as error:
        if error.errno in _NOTHING:
            return []
        raise DeodarError(f"audit: {error.strerror or error}; it takes root") from error


def remove_rules() -> list[str]:
    """Remove the audit rules that carry our key; returns what was done, raises OSError."""
    rules = control.own_rules()
    for rule in rules:
        control.delete_rule(rule)
    return [f"{len(rules)} audit rules removed"] if rules else []


def main() -> int:
    """Clean, and say what was done; returns the exit code."""
    try:
        done = clean()
    except DeodarError as error:
        sys.stderr.write(f"deodar: {error}\n")
        return error.exit_code
    sys.stdout.write("".join(f"{text}\n" for text in done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
