"""Holds the rule that tests mirror the source, file by file.

``src/deodar/a/b.py`` has ``tests/a/test_b.py`` and the other way round. Exempt are files without
behaviour of their own (``__init__``, ``__main__``, errors, numbered migrations) and tests of
something else: whole ways, tools, machines. Prints what is missing; exit code 1 when anything is.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "deodar"
TESTS = ROOT / "tests"
ELSEWHERE = {
    "e2e",
    "tools",
    "bench",
    "packaging",
    "prove",
    "soak",
    "machines",
    "kernels",
    "conformance",
    "fuzz",
}
"""Folders whose tests are not about one module of the package."""
EXEMPT = re.compile(r"(^|/)(__init__|__main__|errors|env|versions/.*|\d{4}_\w+)\.py$")


def modules() -> set[Path]:
    """Return the source modules that must have a test, relative to the package."""
    every = (path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
    return {path for path in every if not EXEMPT.search(path.as_posix())}


def tested() -> set[Path]:
    """Return the modules that the test files name, relative to the package."""
    files = (path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))
    return {
        path.with_name(path.name.removeprefix("test_"))
        for path in files
        if path.parts[0] not in ELSEWHERE
    }


def main() -> int:
    """Print each breach of the rule; return the exit code."""
    breaches = [f"no test for src/deodar/{path}" for path in sorted(modules() - tested())]
    strays = {path for path in tested() if not (SOURCE / path).is_file()}
    breaches += [f"no source for tests/{p.with_name('test_' + p.name)}" for p in sorted(strays)]
    print("\n".join(breaches) or "tests mirror the source")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
