from __future__ import annotations

from deodar.columnar.dead_letters import DeadLetterStore
from deodar.kit.journal import Journal
from deodar.siem.collector.board import Board
from deodar.siem.collector.desk import Desk
from deodar.siem.collector.intake import Intake
from deodar.siem.connectors.base import Handover
from deodar.siem.connectors.status import Status


async def test_answers_go_into_the_journal_and_unusable_bodies_among_the_dead_letters(tmp_path):
    letters, board = DeadLetterStore(tmp_path / "letters"), Board("kedr", 1)
    with Journal(tmp_path / "journal") as journal:
        intake = Intake(Desk(journal, "source", print), letters, board)
        await intake.put(Handover(b"body", "kata", "https://edr:443", None, "t1"))
        await intake.keep_aside("https://edr:443", "no token", b"\xff")
        assert journal.last() == 1
    assert (board.counts.answers, board.counts.bytes, board.counts.aside) == (1, 4, 1)
    (stored,) = letters.list()
    assert (stored.letter.raw, stored.letter.reason) == (b"\xff", "no token")


def test_a_status_that_is_not_green_is_the_last_error_too():
    board = Board("kedr", 1)
    intake = Intake(None, None, board)
    intake.changed(Status("yellow", "waiting for authorization"))
    intake.changed(Status("green", "receiving events"))
    assert board.report().last_error == "waiting for authorization"
    assert board.status.colour == "green"


def test_a_connectors_own_counts_are_on_the_board_with_what_hinders_the_journal():
    board = Board("syslog", 1)
    intake = Intake(None, None, board)
    intake.count("datagrams_lost", 3)
    intake.count("datagrams_lost")
    assert board.report().connector_counts == {"datagrams_lost": 4}
    board.journal_hindrance = "full"
    assert intake.hindrance == "full"
