from __future__ import annotations

import json

from tests.siem.batches import batch
from tests.siem.test_cli import deodar

from deodar.siem.collector.prepare import stream


def test_a_condition_is_checked_and_printed_as_it_is_understood(tmp_path):
    assert deodar("filter", "check", "Name='a' and (Message!='b')").stdout == (
        "Name = 'a' AND Message != 'b'\n"
    )
    node = {"leftField": "Name", "op": "contains", "list": ["a", "b"], "ignoreCase": True}
    (tmp_path / "node.json").write_text(json.dumps(node))
    ran = deodar("filter", "check", f"@{tmp_path}/node.json", "--nodes", "--json")
    assert json.loads(ran.stdout) == {"code": "Name contains ['a', 'b'] ignoreCase"}


def test_what_is_wrong_is_told_with_its_place():
    ran = deodar("filter", "check", "Nam = 'a'", code=2)
    assert "filter, column 1: there is no field Nam (did you mean Name?)" in ran.stderr
    assert "cannot read absent" in deodar("filter", "check", "@absent", code=2).stderr


def test_a_condition_is_tried_on_events(tmp_path):
    events = tmp_path / "events.jsonl"
    events.write_text('{"Name": "a", "SourceUserName": "root"}\n\n{"Name": "b"}\n')
    (tmp_path / "users.csv").write_text("user,owner\nroot,anna\n")
    words = ("filter", "try", "Name = 'a' AND SourceUserName inDictionary 'users'")
    known = ("--events", events, "--dictionary", f"users={tmp_path}/users.csv")
    assert deodar(*words, *known).stdout == (
        "1: passes\n   yes Name = 'a'\n   yes SourceUserName inDictionary 'users'\n"
        "2: is dropped\n   no  Name = 'a'\n   no  SourceUserName inDictionary 'users'\n"
        "1 of 2 events pass\n"
    )
    lines = deodar(*words, *known, "--json").stdout.splitlines()
    assert [json.loads(line)["passes"] for line in lines] == [True, False]


def test_events_and_dictionaries_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / "odd").write_text('{"Name": "a"}\n[]\n')
    ran = deodar("filter", "try", "Name = 'a'", "--events", tmp_path / "odd", code=2)
    assert f"{tmp_path}/odd, line 2: no JSON object" in ran.stderr
    ran = deodar("filter", "try", "Name = 'a'", "--dictionary", "x", "--events", "-", code=2)
    assert "write it as NAME=FILE" in ran.stderr


def test_what_a_search_finds_can_be_tried(core, tmp_path):
    home = core.collector("edr:9443", insecure=True)
    sent = batch(3, batch_id=f"{home.path.name}-1")
    with core.client(home) as client:
        headers = {"content-type": "application/vnd.apache.arrow.stream"}
        url = f"/storage/v1/batches/{sent.id}"
        answer = client.post(url, content=stream(sent.events).to_pybytes(), headers=headers)
        assert answer.status_code == 200, answer.text
    found = core.search(f"select * from events where BatchID = '{sent.id}' order by ID")
    events = tmp_path / "events.jsonl"
    events.write_text("".join(f"{json.dumps(event)}\n" for event in found))
    words = "DestinationPort >= 1 AND Extra.Depth = '1' AND NOT DeviceVendor = ''"
    lines = deodar("filter", "try", words, "--events", events, "--json").stdout.splitlines()
    assert [json.loads(line)["passes"] for line in lines] == [False, True, False]
