"""Command-line options that all ``deodar edr`` commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[
    Path,
    typer.Option("--dir", envvar="DEODAR_DIR", help="The server's folder.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
