"""What the SIEM's stages read: any input is taken, or refused by its own error."""

from __future__ import annotations

import json
from pathlib import Path

import dns.message
import dns.rrset
from hypothesis import strategies as st

from deodar.siem.pipeline import dictionaries
from deodar.siem.pipeline.enrichment.go_template import Template
from deodar.siem.pipeline.enrichment.resolver import Question, records, response
from deodar.siem.pipeline.errors import FilterError, RuleError
from deodar.siem.pipeline.filters.columnar import compiled
from deodar.siem.pipeline.filters.nodes import from_json
from deodar.siem.pipeline.filters.parser import parse
from deodar.siem.pipeline.filters.text import code
from deodar.siem.pipeline.frame import frame_of

from .inputs import NOISE, NUMBERS, TEXTS, mutated

FRAME = frame_of([{"Name": "a", "DestinationPort": 1, "Extra": {"k": "v"}}, {}])
NAMES = st.sampled_from(["Name", "DestinationPort", "Extra.k", "GroupedBy", "Nam", "x"])
WORDS = st.sampled_from(
    ["=", "!=", "<", "contains", "endsWith", "match", "inSubnet", "hasBit", "intersect", "is", "("]
)
QUOTED = st.one_of(
    st.text("ab*(\\'\"%[ \n\0é", max_size=12).map(lambda text: f"'{text}'"),
    st.sampled_from(["'10.0.0.0/8'", "['a', 'b']", "[1, 2,]", "[]", "Name"]),
    NUMBERS,
)
CONDITIONS = st.tuples(NAMES, WORDS, QUOTED, st.sampled_from(["", " ignoreCase"])).map(" ".join)
JOINTS = st.sampled_from(["AND", "OR", "NOT", "(", ")", "[", ",", "'"])
CODES = st.one_of(
    TEXTS,
    CONDITIONS,
    st.lists(st.one_of(CONDITIONS, JOINTS), max_size=40).map(" ".join),
    st.tuples(st.integers(1, 2000), CONDITIONS).map(lambda n: "(" * n[0] + n[1] + ")" * n[0]),
    st.tuples(st.integers(1, 4000), CONDITIONS).map(lambda n: "NOT " * n[0] + n[1]),
)
LEAVES = st.fixed_dictionaries(
    {"leftField": NAMES, "op": WORDS},
    optional={
        "constant": st.one_of(TEXTS, st.integers(), st.booleans(), st.none()),
        "list": st.lists(st.one_of(TEXTS, st.floats()), max_size=3),
        "rightKind": st.sampled_from(["constant", "list", "event", "dictionary", "x", 7]),
        "rightField": NAMES,
        "ignoreCase": st.booleans(),
        "not": st.booleans(),
        "leftKind": st.sampled_from(["event", "activeList", None]),
    },
)
NODES = st.recursive(
    st.one_of(LEAVES, TEXTS, st.fixed_dictionaries({"code": CODES})),
    lambda inner: st.fixed_dictionaries(
        {"conditions": st.one_of(st.lists(inner, max_size=3), inner)},
        optional={"or": st.booleans(), "not": st.booleans(), "group": st.just(True)},
    ),
    max_leaves=6,
)
ACTIONS = st.sampled_from(["{{", "}}", "|", " ", ".Name", "lower", '"a"', "index", "-"])
TEMPLATES = st.one_of(TEXTS, st.lists(ACTIONS, max_size=20).map("".join))
QUERY = dns.message.make_query("a.example", "A")
RESPONSE = dns.message.make_response(QUERY)
RESPONSE.answer.append(dns.rrset.from_text("a.example.", 300, "IN", "A", "192.0.2.1"))
ANSWER = RESPONSE.to_wire()


def evaluated(read, text: str) -> str:
    try:
        tree = read(text)
        assert parse(code(tree))
        compiled(tree, {"a": {"b": "c"}})(FRAME)
    except FilterError:
        return "filter"
    except ValueError as error:
        assert "there is no dictionary" in str(error)  # noqa: PT017  the only other one
    return ""


def test_conditions_in_code(fuzzer):
    tally = fuzzer.run("conditions", CODES, lambda text: evaluated(parse, text))
    assert tally.taken
    assert tally.refused


def test_conditions_in_nodes(fuzzer):
    inputs = st.one_of(NODES.map(json.dumps), TEXTS)
    tally = fuzzer.run("nodes", inputs, lambda text: evaluated(from_json, text))
    assert tally.taken
    assert tally.refused


def test_templates(fuzzer):
    def target(text: str) -> str:
        try:
            template = Template(text)
        except ValueError:
            return "template"
        template.render(["x"] * len(template.fields))
        return ""

    tally = fuzzer.run("templates", TEMPLATES, target)
    assert tally.taken
    assert tally.refused


def test_dictionary_files(fuzzer, tmp_path: Path):
    settings = dictionaries.read([{"name": "d", "file": "d.csv"}], "fuzz")
    inputs = st.one_of(NOISE, st.text('ab,"\n\r\0é', max_size=80).map(str.encode))

    def target(data: bytes) -> str:
        (tmp_path / "d.csv").write_bytes(data)
        try:
            dictionaries.load(settings, tmp_path)
        except RuleError:
            return "dictionary"
        return ""

    tally = fuzzer.run("dictionaries", inputs, target)
    assert tally.refused


def test_answers_of_name_servers(fuzzer):
    def target(data: bytes) -> str:
        answer = response(QUERY, data)
        if answer is None:
            return "answer"
        records(Question("a.example", "A"), answer)
        return ""

    inputs = st.one_of(NOISE, st.just(ANSWER), mutated(ANSWER))
    tally = fuzzer.run("dns answers", inputs, target)
    assert tally.taken
    assert tally.refused
