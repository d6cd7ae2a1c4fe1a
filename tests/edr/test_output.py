from __future__ import annotations

from dataclasses import dataclass

from deodar.edr import output


@dataclass
class Row:
    name: str
    seen_us: int


COLUMNS = {"name": "Name", "seen_us": "Seen"}


def test_json_is_one_object_a_line(capsys):
    output.print_json(Row("a", 1), Row("b", 2))
    assert capsys.readouterr().out == '{"name":"a","seen_us":1}\n{"name":"b","seen_us":2}\n'


def test_tables_show_times_for_people(capsys):
    output.print_table(COLUMNS, [Row("a", 1_700_000_000_000_000), Row("b", 0)], "none")
    text = capsys.readouterr().out
    assert "2023-11-14 22:13:20Z" in text
    assert "never" in text


def test_texts_from_elsewhere_cannot_control_the_terminal_or_the_markup(capsys):
    output.print_table(COLUMNS, [Row("\x1b[31m[bold]x\n", 0)], "none")
    text = capsys.readouterr().out
    assert "\x1b[31m" not in text
    assert "[bold]x" in text


def test_nothing_is_told_in_words(capsys):
    output.print_table(COLUMNS, [], "There is nothing.")
    assert capsys.readouterr().out == "There is nothing.\n"


def test_plain_text_stays_as_it_is():
    assert output.plain("Ярославль 1") == "Ярославль 1"
    assert output.plain(7) == "7"
    output.print_line("x")
