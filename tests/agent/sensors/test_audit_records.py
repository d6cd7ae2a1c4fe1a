"""Audit's text records: recorded ones, long arguments in pieces, garbage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.sensors import audit_records as module
from deodar.agent.sensors.audit_records import EOE, Grouper, parse_fields, to_exec, unquote
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.errors import MalformedRecord

STAMP = "audit(1795311171.722:134): "
# Recorded on Linux 6.18, with a logon and a terminal put in.
CALL = (
    "arch=c000003e syscall=59 success=yes exit=0 a0=7f3db20c4c00 items=2 ppid=5769 pid=5772 "
    "auid=1000 uid=1000 gid=100 euid=0 suid=0 fsuid=0 egid=100 sgid=100 fsgid=100 "
    'tty=pts3 ses=7 comm="true" exe="/usr/bin/true" key="deodar"'
)
EXECVE = [
    (1300, CALL),
    (1321, "fver=0 fp=0 fi=0 fe=0"),
    (1309, 'argc=4 a0="/bin/true" a1=612062 a2=FF a3=""'),
    (1307, 'cwd="/usr/lib"'),
    (1302, 'item=0 name="/bin/true" inode=260958 dev=fe:00 mode=0100755 nametype=NORMAL'),
    (1302, 'item=1 name="/lib64/ld-linux-x86-64.so.2" inode=338944 dev=fe:00 nametype=NORMAL'),
    (1327, "proctitle=2F62696E2F747275650061206200FF"),
]
CHILD, PARENT = ProcessKey(5772, 5), ProcessKey(5769, 4)


def group(records, stamp=STAMP):
    grouper = Grouper()
    for kind, text in records:
        assert grouper.add(kind, stamp + text) is None
    return grouper.add(EOE, stamp)


def test_exec_of_seven_records():
    record = to_exec(group(EXECVE), CHILD, PARENT)
    assert record.time_ns == 1795311171_722_000_000
    assert (record.key, record.parent) == (CHILD, PARENT)
    assert record.argv == [b"/bin/true", b"a b", b"\xff", b""]
    assert (record.exe, record.cwd, record.filename) == (
        b"/usr/bin/true",
        b"/usr/lib",
        b"/bin/true",
    )
    assert (record.comm, record.tty) == (b"true", "pts/3")
    assert (record.uid, record.gid, record.euid, record.egid) == (1000, 100, 0, 100)
    assert (record.login_uid, record.session_id) == (1000, 7)


def test_nobody_logged_on():
    call = CALL.replace("auid=1000", "auid=4294967295").replace("ses=7", "ses=4294967295")
    record = to_exec(group([(1300, call.replace("tty=pts3", "tty=(none)"))]), CHILD, PARENT)
    assert (record.login_uid, record.session_id, record.tty) == (None, None, "")


def test_long_arguments_in_pieces_and_records():
    pieces = [
        EXECVE[0],
        (1309, 'argc=3 a0="x" a1_len=8 a1[0]="aaaa"'),
        (1309, 'a1[1]=62622062 a2="last"'),
    ]
    record = to_exec(group(pieces), CHILD, PARENT)
    assert record.argv == [b"x", b"aaaabb b", b"last"]
    assert not record.argv_truncated


def test_lost_arguments_are_flagged():
    record = to_exec(group([EXECVE[0], (1309, 'argc=3 a0="x" a2="z"')]), CHILD, PARENT)
    assert record.argv == [b"x", b"", b"z"]
    assert record.argv_truncated


def test_title_stands_in_for_missing_arguments():
    record = to_exec(group([EXECVE[0], EXECVE[-1]]), CHILD, PARENT)
    assert record.argv == [b"/bin/true", b"a b", b"\xff"]


def test_events_that_interleave_stay_apart():
    grouper = Grouper()
    other = "audit(1795311171.723:135): "
    grouper.add(1307, STAMP + 'cwd="/one"')
    grouper.add(1307, other + 'cwd="/two"')
    assert grouper.add(EOE, other).cwd == b"/two"
    assert grouper.add(EOE, STAMP).cwd == b"/one"
    assert grouper.add(EOE, STAMP) is None


def test_target_and_module_are_read():
    event = group([(1300, CALL), (1318, "opid=4711 oauid=0"), (1330, 'name="snd"')])
    assert (event.target, event.module) == (4711, b"snd")


def test_loads_of_programs_are_noted_for_events_that_come_to_their_end(monkeypatch):
    monkeypatch.setattr(module, "MOST_PROGRAMS", 2)
    grouper = Grouper()
    grouper.add(1334, STAMP + "prog-id=8 op=LOAD")
    grouper.add(1334, "audit(1.000:5): prog-id=9 op=UNLOAD")
    assert grouper.add(1300, STAMP + CALL) is None
    assert grouper.add(EOE, STAMP).program == 8
    for serial in range(9):
        grouper.add(1334, f"audit(1.000:{serial}): prog-id={serial} op=LOAD")
    assert grouper.abandoned() == 0
    grouper.add(1300, "audit(1.000:1): " + CALL)
    assert grouper.add(EOE, "audit(1.000:1): ").program == 0


def test_events_that_never_end_are_dropped(monkeypatch):
    monkeypatch.setattr(module, "MOST_EVENTS", 2)
    grouper = Grouper()
    for serial in range(5):
        grouper.add(1307, f'audit(1.000:{serial}): cwd="/"')
    assert grouper.abandoned() == 3
    assert grouper.add(EOE, "audit(1.000:0): ") is None
    assert grouper.add(EOE, "audit(1.000:4): ") is not None


def test_values():
    assert unquote('"plain"') == b"plain"
    assert unquote("6120FF") == b"a \xff"
    assert unquote("(null)") == unquote("?") == unquote('""') == b""
    with pytest.raises(ValueError, match="non-hexadecimal"):
        unquote("xyz")
    assert parse_fields('a=1 b="x=y" lonely c=') == {"a": "1", "b": '"x=y"', "c": ""}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (1300, "no stamp"),
        (1307, STAMP + "nothing"),
        (1309, STAMP + "argc=many"),
        (1309, STAMP + "a0=zz"),
    ],
)
def test_broken_records_are_malformed(kind, text):
    with pytest.raises(MalformedRecord):
        Grouper().add(kind, text)


@given(
    st.sampled_from([1300, 1302, 1307, 1309, 1320, 1327, 1400]),
    st.text(max_size=120),
    st.booleans(),
)
def test_garbage_is_taken_or_malformed(kind, text, stamped):
    grouper = Grouper()
    try:
        event = grouper.add(kind, STAMP + text if stamped else text)
    except MalformedRecord:
        return
    assert event is None


@given(st.binary(min_size=1, max_size=50))
def test_hex_values_come_back(value):
    assert unquote(value.hex().upper()) == value
