from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.watch import unit_files
from deodar.agent.watch.unit_files import merge, parse


def test_what_a_service_runs() -> None:
    text = b"[Unit]\nExecStart=no\n[Service]\nExecStart=/bin/a \\\n  # a comment within\n b\n"
    text += b"ExecStart=/bin/c\nUser=x\nUser=y\n"
    settings = merge([parse(text)])
    assert unit_files.commands(settings) == "/bin/a  b; /bin/c"
    assert unit_files.last(settings, "Service", "User") == "y"


def test_an_empty_value_forgets_those_before() -> None:
    base = parse(b"[Service]\nExecStart=/bin/a\n")
    more = parse(b"[Service]\nExecStart=\nExecStart = /bin/b\n")
    assert unit_files.commands(merge([base, more])) == "/bin/b"


def test_when_a_timer_runs_and_where_a_socket_listens() -> None:
    timer = merge([parse(b"[Timer]\nOnCalendar=daily\nOnBootSec=5\nPersistent=true\n")])
    assert unit_files.schedule(timer) == "OnCalendar=daily; OnBootSec=5"
    socket = merge([parse(b"[Socket]\nListenStream=22\nListenDatagram=/run/x\n")])
    assert unit_files.commands(socket) == "ListenStream=22; ListenDatagram=/run/x"


def test_comments_and_blank_lines_are_no_change() -> None:
    one = parse(b"[Service]\nType=simple\n")
    assert parse(b"# x\n\n[Service]\n;y\n  Type=simple  \n").digest == one.digest
    assert parse(b"[Service]\nType=simple\nNice=1\n").digest != one.digest
    assert parse(b"\n# nothing\n").digest == ""


def test_much_is_cut() -> None:
    many = merge([parse(b"[Service]\n" + b"ExecStart=/bin/x\n" * 500)])
    assert len(many["Service", "ExecStart"]) == unit_files.MOST_VALUES
    long = parse(b"[Service]\nExecStart=" + b"x" * 9999)
    assert len(long.assignments[0][2]) == unit_files.MOST_CHARACTERS


@given(st.binary(max_size=200))
def test_any_bytes_can_be_parsed(content: bytes) -> None:
    merge([parse(content)])


def test_digest_of_tells_contents_apart() -> None:
    assert unit_files.digest_of(b"a") != unit_files.digest_of(b"b")
