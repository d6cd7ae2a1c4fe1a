"""The running agent without the command line's libraries: ``python -m deodar.agent --dir DIR``.

``deodar agent run`` becomes this by exec. The parser, the tables and the colours of the command
line take some 8 MB that an agent has no use for, and every endpoint would pay for them all day.
"""

# ruff: noqa: PLC0415 - what is kept out has to be named before the first import of a library

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WITHOUT = (
    "rich", "click", "pygments", "asyncio", "concurrent", "structlog", "typing_extensions",
    "bz2", "lzma",
)  # fmt: skip
"""What libraries load if it is there, and the agent has no use for."""


def words(
    directory: Path,
    *,
    sensor: str = "auto",
    replay: Path | None = None,
    rate: float = 0.0,
    exit_at_end: bool = False,
    debug: bool = False,
) -> list[str]:
    """Return the command that runs the agent in place of this process."""
    command = [sys.executable, "-P", "-m", "deodar.agent", "--dir", str(directory)]
    command += ["--sensor", sensor]
    if replay is not None:
        command += ["--replay", str(replay), "--rate", str(rate)]
    command += ["--exit-at-end"] if exit_at_end else []
    return command + (["--debug"] if debug else [])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent; returns the exit code, as `deodar.cli` tells them."""
    options = _parse(arguments)
    for name in WITHOUT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # an import of it fails
    from deodar.kit.errors import DeodarError

    try:
        _run(options)
    except DeodarError as error:
        sys.stderr.write(f"deodar: {error}\n")
        return error.exit_code
    return 0


def _run(options: argparse.Namespace) -> None:
    from deodar.agent.detection import Choice
    from deodar.agent.run import run
    from deodar.kit.directory import StateDirectory
    from deodar.kit.logging import configure_plain

    configure_plain("agent", debug=options.debug)
    chosen = Choice(
        sensors=() if options.sensor in ("auto", "replay") else (options.sensor,),
        replay=options.replay,
        rate=options.rate,
        exit_at_end=options.exit_at_end,
    )
    run(StateDirectory.open(options.dir, made_by="deodar agent enroll"), chosen)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m deodar.agent", description="Run the agent.")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--sensor", default="auto")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--exit-at-end", action="store_true")
    parser.add_argument("--debug", action="store_true")
    return parser.parse_args(arguments)
