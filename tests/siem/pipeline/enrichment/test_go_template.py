from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deodar.siem.pipeline.enrichment.go_template import Template

EVENT = {"Name": "Ab", "DestinationPort": 22, "Extra": {"a b": "x", "c-d": "y"}, "Message": " m "}


def rendered(text: str) -> str:
    template = Template(text)
    return template.render([ref.value(EVENT) for ref in template.fields])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain } text {", "plain } text {"),
        ("{{.Name}}:{{ .DestinationPort }}", "Ab:22"),
        ("{{.SourcePort}}", "0"),
        ("{{.SourceUserName}}", ""),
        ('{{index .Extra "a b"}}{{.Extra.c-d}}', "xy"),
        ("{{.Name | lower}} {{upper .Name}}", "ab AB"),
        ('{{.SourceUserName | default "nobody" | upper}}', "NOBODY"),
        ('{{default "nobody" .Name}}', "Ab"),
        ('{{.Name | replace "b" "\\"c"}}', 'A"c'),
        ("{{.Name | trunc 1}}|{{.Message | trim}}|", "A|m|"),
        ("a {{- .Name -}} b", "aAbb"),
        ("{{`raw \\n`}}", "raw \\n"),
    ],
)
def test_a_template_gives(text, expected):
    assert rendered(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{.Nam}}", "character 7: there is no field Nam .did you mean Name"),
        ("ab{{", "character 3: {{ stands alone"),
        ("ab}}", "character 3: }} stands alone"),
        ("{{}}", "a field, a text or a function is wanted"),
        ("{{if .Name}}x{{end}}", "there is no function if; there are index, lower"),
        ("{{range .Extra}}", "there is no function range"),
        ("{{.Name | shout}}", "there is no function shout"),
        ("{{lower}}", "lower takes 1 arguments, not 0"),
        ("{{.Name .Message}}", "is no function"),
        ('{{.Name | "x"}}', "is no function"),
        ('{{trunc "x" .Name}}', "trunc takes a number"),
        ("{{index .Name 1}}", "index takes a map and a key"),
        ("{{.Extra}}", "is a map"),
        ("{{$x := 1}}", "is not understood"),
        ("x" * 5000, "at most 4000"),
        ("{{.Name}}" * 101, "more than 100 actions"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(text, reason):
    with pytest.raises(ValueError, match=reason):
        Template(text)


@settings(deadline=None)
@given(st.text(st.sampled_from('{}. |"`\\ANamelowerindexExtra1-'), max_size=60))
def test_whatever_is_written_is_a_template_or_an_error(text):
    with contextlib.suppress(ValueError):
        rendered(text)
