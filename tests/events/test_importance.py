from __future__ import annotations

import subprocess
import sys

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.events import VOCABULARY
from deodar.events.importance import Counts, count, of, of_line, type_of_line


def test_the_vocabulary_says_the_same_of_every_type_and_alias() -> None:
    for kind in VOCABULARY.types.values():
        for name in (kind.name, *kind.aliases, kind.name.upper()):
            assert of(name) == kind.importance, name


def test_ends_and_forks_are_low_detections_and_gaps_high() -> None:
    assert {of(name) for name in ("process_terminate", "process_fork", "module")} == {"low"}
    high = ("threatdetect", "threatprocessingresult", "applock", "telemetry_loss")
    assert {of(name) for name in high} == {"high"}
    assert {of(name) for name in ("process", "connection", "never heard of", "")} == {"medium"}


@given(
    name=st.sampled_from(sorted(VOCABULARY.types)),
    texts=st.dictionaries(st.text(max_size=30).map(lambda key: f"X{key}"), st.text(max_size=60)),
)
def test_the_type_is_found_whatever_the_texts_around_it_say(
    name: str, texts: dict[str, str]
) -> None:
    hostile = {**texts, "StartupParameters": 'sh -c \'"EventType":"telemetry_loss"\' \\'}
    line = orjson.dumps({**hostile, "EventType": name, "After": '"EventType":"module"'})
    assert type_of_line(line) == name
    assert of_line(line) == VOCABULARY.types[name].importance


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"EventType" : "module"}', "module"),
        (b'{"EventType": "process"}', "process"),
        (b"{}", ""),
        (b'{"EventType": 7}', ""),
        (b"no JSON", ""),
    ],
)
def test_lines_of_others_are_understood(line: bytes, found: str) -> None:
    assert type_of_line(line) == found


def test_lines_are_counted() -> None:
    lines = [b'{"EventType":"%s"}' % name for name in (b"process", b"module", b"module", b"x")]
    assert count([*lines, b'{"EventType":"threatdetect"}']) == Counts(low=2, medium=2, high=1)
    assert count([]) == Counts()


def test_it_does_not_load_the_vocabulary() -> None:
    script = (
        "import sys, deodar.events.importance;"
        "print('tomllib' in sys.modules, 'deodar.events.vocabulary' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == [b"False", b"False"]
