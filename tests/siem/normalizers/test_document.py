from __future__ import annotations

import pytest

from deodar.siem.normalizers.document import Source
from deodar.siem.normalizers.errors import NormalizerError

GOOD = """\
name: n
dictionaries:
  protocol: {6: TCP, 17: true}
sections:
  - title: All
    mapping:
      - {from: A, to: Name}
      - from: [B, C]
        to: Message
        steps: [lower]
"""


def test_the_parts_of_a_file() -> None:
    source = Source(GOOD, "n.yaml")
    document = source.document()
    assert document.dictionaries == {"protocol": {"6": "TCP", "17": "True"}}
    assert [line.sources for line in document.sections[0].mapping] == [("A",), ("B", "C")]
    assert source.line(("sections", 0, "mapping", 1, "steps", 0)) == 10
    assert source.line(("sections", 0, "mapping", 1, "nothing")) == 8
    assert source.line(()) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("to: Message", "too: Message", "n.yaml, line 8: Object contains unknown field `too`"),
        ("name: n", "name: [n]", "n.yaml, line 1: Expected `str`, got `array`"),
        ("steps: [lower]", "steps: lower", "n.yaml, line 10: Expected `array`, got `str`"),
        ("title: All", "tilte: All", "n.yaml, line 5: Object contains unknown field `tilte`"),
        ("{from: A, to: Name}", "{from: A, to: Name", "n.yaml, line 8"),
        (
            "        to: Message",
            "        to: X\n        to: Y",
            "n.yaml, line 10: to is there twice",
        ),
        ("name: n", "name: n\nname: m", "n.yaml, line 2: name is there twice"),
        ("name: n", "name: !!python/object:os.system n", "n.yaml, line 1"),
    ],
)
def test_an_error_names_the_line(old: str, new: str, message: str) -> None:
    with pytest.raises(NormalizerError) as error:
        Source(GOOD.replace(old, new), "n.yaml").document()
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["", "- a", "5", "\x00"])
def test_what_is_no_normalizer_at_all_is_refused(text: str) -> None:
    with pytest.raises(NormalizerError, match=r"n\.yaml, line 1"):
        Source(text, "n.yaml").document()
