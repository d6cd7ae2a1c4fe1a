from __future__ import annotations

from deodar.agent.watch.schedule_changes import Task, compare

ONE = Task("cron", "/f", "@daily", "/bin/one", "root")
TWO = Task("cron", "/f", "@hourly", "/bin/two", "root")


def short(old: tuple[Task, ...], new: tuple[Task, ...]) -> list[tuple[str, ...]]:
    return [(r.operation, r.command, *r.changes) for r in compare(old, new)]


def test_what_was_added_and_removed() -> None:
    assert short((ONE,), (TWO,)) == [("Deleted", "/bin/one"), ("Created", "/bin/two")]


def test_the_same_command_at_another_time_is_a_change() -> None:
    later = Task("cron", "/f", "@weekly", "/bin/one", "anna")
    changes = ("expression: @daily -> @weekly", "user: root -> anna")
    assert short((ONE, TWO), (TWO, later)) == [("Modified", "/bin/one", *changes)]


def test_another_command_at_the_same_time_is_a_change() -> None:
    other = Task("cron", "/f", "@daily", "/bin/evil", "root")
    assert short((ONE,), (other,)) == [("Modified", "/bin/evil", "command: /bin/one -> /bin/evil")]


def test_the_order_does_not_matter() -> None:
    assert short((ONE, TWO), (TWO, ONE)) == []


def test_a_timer_is_one_task_whatever_changes() -> None:
    timers = [Task("timer", "/f", time, time, time) for time in ("a", "b")]
    assert [change[0] for change in short((timers[0],), (timers[1],))] == ["Modified"]


def test_a_large_table_is_compared_in_a_moment() -> None:
    old = tuple(Task("cron", "/f", f"{n} * * * *", f"/{n}", "root") for n in range(20_000))
    new = tuple(Task("cron", "/f", f"{n} 1 * * *", f"/{n}", "root") for n in range(20_000))
    assert sum(record.operation == "Modified" for record in compare(old, new)) == 20_000
