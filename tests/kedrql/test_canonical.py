from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.kedrql import canonical, parse

if TYPE_CHECKING:
    from deodar.kedrql import Expression


@given(data=st.data())
def test_canonical_text_parses_to_the_same_tree(
    data: st.DataObject, expressions: st.SearchStrategy[Expression]
) -> None:
    expression = data.draw(expressions)
    assert parse(canonical(expression)) == expression


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("filename=bash", "FileName == 'bash'"),
        ('FileName != "it\'s"', r"FileName != 'it\'s'"),
        ("FileName !CONTAINS x", "FileName != '*x*'"),
        ("NOT FileName STARTS x", "FileName != 'x*'"),
        ("FileName NOT ENDS x", "FileName != '*x'"),
        ("NOT FileSize > '007'", "NOT FileSize > 7"),
        (
            "((FileSize=1)) and (FileSize=2 or FileSize=3)",
            "FileSize == 1 AND (FileSize == 2 OR FileSize == 3)",
        ),
        (
            "(FileSize=1 and FileSize=2) or FileSize=3",
            "FileSize == 1 AND FileSize == 2 OR FileSize == 3",
        ),
        ("NOT (FileSize=1 or FileSize=2)", "NOT (FileSize == 1 OR FileSize == 2)"),
        ("not not FileSize=1", "NOT FileSize != 1"),
        ("IOATag = '*powershell*'", "Ioa.Rules.Name == '*powershell*'"),
    ],
)
def test_there_is_one_spelling(text: str, expected: str) -> None:
    assert canonical(parse(text)) == expected
