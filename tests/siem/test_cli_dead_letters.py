from __future__ import annotations

import json

import pytest
from tests.siem.test_cli import deodar

from deodar.columnar.dead_letters import DeadLetter, DeadLetterStore


@pytest.fixture
def siem(tmp_path):
    deodar("init", "--dir", tmp_path / "siem")
    return tmp_path / "siem"


@pytest.fixture
def collector(siem):
    deodar("collector", "add", "kedr", "--edr", "edr:9443", "--edr-insecure", "--dir", siem)
    return siem / "collectors" / "kedr"


def test_dead_letters_are_listed_and_shown(siem, collector):
    assert (
        "no dead letters"
        in deodar("collector", "dead-letters", "list", "kedr", "--dir", siem).stdout
    )
    store = DeadLetterStore(collector / "dead-letters")
    store.add([DeadLetter("bad number", "$.Pid", 4, b'{"Pid":"x\xff"}', "https://edr:443")], "b-1")
    listed = deodar("collector", "dead-letters", "list", "kedr", "--dir", siem, "--json").stdout
    letter = json.loads(listed)
    assert (letter["reason"], letter["path"], letter["batch_id"]) == ("bad number", "$.Pid", "b-1")
    assert "bad number" in deodar("collector", "dead-letters", "list", "kedr", "--dir", siem).stdout
    shown = deodar("collector", "dead-letters", "show", "kedr", letter["id"], "--dir", siem).stdout
    assert '{"Pid":"x\\xff"}' in shown
    ran = deodar("collector", "dead-letters", "show", "kedr", "999-0", "--dir", siem, code=1)
    assert "no dead letter 999-0" in ran.stderr
