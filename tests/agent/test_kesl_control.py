from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer

from deodar.agent.cli import app
from deodar.agent.kesl_control import COMMANDS, page

OURS = [pair.ours for pair in COMMANDS if pair.ours]
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "kesl-control.md"


@pytest.mark.parametrize("ours", OURS)
def test_each_command_of_ours_parses(ours: str) -> None:
    words = shlex.split(ours.replace("[", "").replace("]", ""))
    command = typer.main.get_command(app)
    context = command.make_context("agent", list(words), resilient_parsing=False)
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        command = command.commands[rest[0]]
        context = command.make_context(rest[0], rest[1:], parent=context)
    assert context.args == []


def test_page_has_every_command() -> None:
    text = page()
    assert all(f"`{ours}`" in text for ours in OURS)
    assert "76 insecure path" in text
    assert PAGE.read_text("utf-8") == text
