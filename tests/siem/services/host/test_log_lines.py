from __future__ import annotations

import threading

from deodar.kit import logging as logs
from deodar.siem.services.host.log_lines import KEPT, LogLines
from deodar.siem.services.wire import LINES_AT_ONCE, LONGEST_LINE


def test_lines_of_this_process_are_heard_while_it_listens():
    lines, log = LogLines(), logs.logger("siem.test")
    end = lines.listen()
    log.info("stored", rows=5, token="hidden")
    log.error("refused", reason="why")
    log.debug("not at this level")
    end()
    log.info("after the end")
    heard = [line.text for line in lines.since(1)]
    assert heard == ["siem.test: stored rows=5 token=***", "siem.test: refused reason=why"]
    assert lines.errors == 1


def test_they_are_bounded_and_numbered():
    lines = LogLines()
    for number in range(KEPT + 500):
        lines.add("info", f"{number} " + "x" * 5000)
    first = lines.since(1)
    assert len(first) == LINES_AT_ONCE
    assert first[0].number == 501
    assert {len(line.text) for line in first} == {LONGEST_LINE}
    assert [line.number for line in lines.since(KEPT + 499)] == [KEPT + 499, KEPT + 500]


def test_any_thread_may_log():
    lines = LogLines()
    threads = [
        threading.Thread(target=lambda: [lines.add("error", "x") for _ in range(100)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    numbers = [line.number for line in lines.since(1)] + [line.number for line in lines.since(201)]
    assert sorted(numbers) == list(range(1, 401))
