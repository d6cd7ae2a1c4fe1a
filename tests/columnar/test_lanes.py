from __future__ import annotations

from deodar.columnar.lanes import lanes
from deodar.columnar.spec import Column, Rule, Spec
from deodar.columnar.steps import Lower

TYPES = {"a": (), "b": (), "c": ()}


def made(*rules: Rule) -> list[dict[str, str | None]]:
    column = Column("X", "string", rules)
    spec = Spec(name="s", columns=(column,), types=TYPES, kinds={"N": "integer"})
    found = lanes(spec, column)
    names = dict(enumerate(TYPES))
    return [
        {names[code]: rule.path for code, rule in lane.rules.items() if code in names}
        for lane in found
    ]


def test_rules_of_different_types_share_a_lane() -> None:
    assert made(Rule(path="P", when=("a",)), Rule(path="Q", when=("b", "c"))) == [
        {"a": "P", "b": "Q", "c": "Q"}
    ]


def test_the_order_of_the_rules_is_the_order_of_the_lanes() -> None:
    assert made(Rule(path="P", when=("a",)), Rule(path="Q")) == [
        {"a": "P", "b": "Q", "c": "Q"},
        {"a": "Q"},
    ]


def test_other_steps_and_other_kinds_take_other_lanes() -> None:
    assert made(
        Rule(path="P", when=("a",)),
        Rule(path="Q", when=("b",), steps=(Lower(),)),
        Rule(path="N", when=("c",)),
    ) == [{"a": "P"}, {"b": "Q"}, {"c": "N"}]


def test_a_rule_never_goes_before_a_better_one() -> None:
    steps = (Lower(),)
    rules = (Rule(path="P", when=("b",)), Rule(path="Q", when=("a",), steps=steps), Rule(path="R"))
    assert made(*rules) == [{"a": "Q"}, {"a": "R", "b": "P", "c": "R"}, {"b": "R"}]


def test_only_fields_without_a_safe_place_can_lose() -> None:
    first = Column("X", "string", (Rule(path="P"), Rule(path="Q")))
    second = Column("Y", "string", (Rule(path="Q"),))
    alone = Spec(name="s", columns=(first,), types={"a": ()})
    both = Spec(name="s", columns=(first, second), types={"a": ()})
    assert lanes(alone, first)[1].losers == {0, 1}
    assert lanes(both, first)[1].losers == set()


def test_what_a_lane_reads_and_says_by_type() -> None:
    rules = (Rule(path="P", when=("a", "c"), label="l"), Rule(path="Q", when=("b",)))
    column = Column("X", "string", rules, label_target="XLabel")
    lane = lanes(Spec(name="s", columns=(column,), types=TYPES), column)[0]
    assert lane.reads == {"P": {0, 2}, "Q": {1}}
    assert lane.labels == {0: "l", 1: "", 2: "l"}
