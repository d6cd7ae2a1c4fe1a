from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.watch import crontab
from deodar.agent.watch.crontab import Line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("* * * * * /bin/x", Line("* * * * *", "", "/bin/x")),
        ("\t*/5\t0-6  * jan MON-fri  /x a  b ", Line("*/5 0-6 * jan MON-fri", "", "/x a  b")),
        ("@reboot /bin/x", Line("@reboot", "", "/bin/x")),
        ("0 1 * * * mail -s a%first%second", Line("0 1 * * *", "", "mail -s a%first%second")),
        ("0~9 H * * * /bin/x", Line("0~9 H * * *", "", "/bin/x")),
    ],
)  # fmt: skip
def test_a_line_of_an_account(text: str, line: Line) -> None:
    assert crontab.user_table(f"{text}\n".encode()) == (line,)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("* * * * * root /bin/x", Line("* * * * *", "root", "/bin/x")),
        ("@daily anna /bin/x y", Line("@daily", "anna", "/bin/x y")),
    ],
)
def test_a_line_of_the_system(text: str, line: Line) -> None:
    assert crontab.system_table(f"{text}\n".encode()) == (line,)


@pytest.mark.parametrize(
    "text",
    ["", "# * * * * * x", "PATH=/bin:/usr/bin", "MAILTO = root", '"A b"=c', "* * * * *",
     "no cron at", "@reboot", "a=b c d e f g"],
)  # fmt: skip
def test_what_is_no_task(text: str) -> None:
    assert crontab.user_table(text.encode()) == ()


def test_a_table_of_anacron() -> None:
    found = crontab.anacron_table(
        b"SHELL=/bin/sh\n1\t5\tcron.daily\trun-parts x\n@monthly 9 m /y\n"
    )
    assert found == (
        Line("every 1 days, after 5 minutes", "root", "run-parts x"),
        Line("@monthly, after 9 minutes", "root", "/y"),
    )


@given(st.binary(max_size=200))
def test_any_bytes_give_tasks_with_a_command(content: bytes) -> None:
    for line in (*crontab.system_table(content), *crontab.anacron_table(content)):
        assert line.command
        assert line.expression


def test_a_long_command_is_cut() -> None:
    (line,) = crontab.user_table(b"@daily " + b"x" * 9999)
    assert len(line.command) == crontab.MOST_CHARACTERS
