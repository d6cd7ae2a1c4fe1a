from __future__ import annotations

import json

import pytest

from deodar.siem.pipeline.errors import FilterError
from deodar.siem.pipeline.filters.nodes import from_json, from_nodes
from deodar.siem.pipeline.filters.parser import parse


def leaf(name="Name", op="=", **more) -> dict:
    return {"leftKind": "event", "leftField": name, "op": op, **more}


TREE = {
    "group": True,
    "conditions": [
        leaf("DeviceEventClassID", rightKind="list", list=["4624", "4768"]),
        {
            "group": True,
            "not": True,
            "or": True,
            "conditions": [
                leaf("DestinationUserName", "endsWith", rightKind="constant", constant="$"),
                leaf("SourceAddress", "inSubnet", rightKind="constant", constant="10.0.0.0/8"),
            ],
        },
        leaf(
            "SourceUserName", rightKind="event", rightField="DestinationUserName", ignoreCase=True
        ),
        leaf("DestinationPort", "<", constant="1024", **{"not": True, "checkTypes": False}),
        leaf("SourceUserName", "inDictionary", rightKind="dictionary", rightID="users"),
    ],
}
CODE = """
DeviceEventClassID = ['4624', '4768']
AND NOT (DestinationUserName endsWith '$' OR SourceAddress inSubnet '10.0.0.0/8')
AND SourceUserName = DestinationUserName ignoreCase
AND NOT DestinationPort < 1024
AND SourceUserName inDictionary 'users'
"""


def test_nodes_and_code_give_one_tree():
    assert from_nodes(TREE) == parse(CODE)
    assert from_json(json.dumps(TREE)) == parse(CODE)


def test_a_node_of_code_and_a_group_of_one_are_what_is_in_them():
    assert from_nodes({"code": "Name = 'a'"}) == parse("Name = 'a'")
    assert from_nodes({"conditions": [leaf(constant="a")]}) == parse("Name = 'a'")


def test_empty_keys_of_an_export_are_passed_over():
    empty = {"leftEvent": "", "leftTICategory": None, "vulns": [], "filter": "", "id": "7"}
    assert from_nodes(leaf(constant="a", **empty)) == parse("Name = 'a'")


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ([], r"\$: a node is an object"),
        ({"group": True}, r"\$\.conditions: a group has a list"),
        ({"conditions": [leaf("Nam")]}, r"\$\.conditions\[0\]\.leftField: .*did you mean Name"),
        (leaf(op="inActiveList"), r"\$\.op: inActiveList needs active lists"),
        (leaf("DestinationPort", constant="x"), r"\$\.constant: 'x' is no integer"),
        (leaf(rightKind="list", list="a"), r"\$\.list: a list is wanted"),
        (leaf(rightKind="list", list=[True]), r"\$\.list\[0\]: a text or a number"),
        (leaf(rightKind="context"), r"\$\.rightKind: 'context' is none of"),
        (leaf(constant="a") | {"leftKind": "activeList"}, r"\$\.leftKind: .*not activeList"),
        (leaf(constant="a", leftTIField="x"), r"\$\.leftTIField: .* cannot take this into account"),
        ({"op": "="}, r"\$\.leftField: a text is wanted"),
        ({"code": "Nam = 1"}, "did you mean Name"),
    ],
)
def test_what_cannot_be_taken_is_told_with_its_path(node, reason):
    with pytest.raises(FilterError, match=reason):
        from_nodes(node)


def test_depth_and_number_are_bounded_and_what_is_no_json_is_told():
    deep: dict = leaf(constant="a")
    for _ in range(66):
        deep = {"group": True, "conditions": [deep]}
    with pytest.raises(FilterError, match="more than 64 groups"):
        from_nodes(deep)
    with pytest.raises(FilterError, match="more than 500 conditions"):
        from_nodes({"conditions": [leaf(constant="a")] * 501})
    for text in ("{", "[" * 100_000):
        with pytest.raises(FilterError, match="not JSON"):
            from_json(text)
