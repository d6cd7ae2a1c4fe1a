from __future__ import annotations

import pytest
from tests.siem.pipeline.enrichment.test_rule import column, enriched

from deodar.siem.pipeline.errors import RuleError


def test_a_text_is_made_of_fields():
    found, written, errors = enriched(
        "template", target="Message", template="{{.DeviceHostName | upper}}:{{.DestinationPort}}"
    )
    assert column(found, "Message") == [f"HOST-1:{port}" for port in range(4)]
    assert (written.all(), errors) == (True, 0)


def test_an_empty_text_changes_nothing():
    found, written, _errors = enriched("template", target="Name", template="{{.SourceUserName}}")
    assert column(found, "Name") == ["Process | started"] * 4
    assert not written.any()


def test_a_template_that_cannot_be_read_is_told():
    with pytest.raises(RuleError, match=r"\(rule\)\.template: character 7: there is no field"):
        enriched("template", target="Name", template="{{.Nam}}")
