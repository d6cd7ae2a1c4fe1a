from __future__ import annotations

import pytest

from deodar.siem.pipeline.enrichment.base import source, target
from deodar.siem.pipeline.errors import RuleError


def test_a_rule_may_write_what_normalizers_write_and_a_few_fields_more():
    for name in ("Name", "Timestamp", "Extra.x", "TI.x", "SpaceID", "DestinationLatitude"):
        assert target(name).name == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("TenantID", "set by the collector"),
        ("BaseEventCount", "set by the collector"),
        ("Priority", "set by the correlator"),
        ("ClusterID", "set by the core"),
        ("Extra", "is a map"),
        ("Nme", "did you mean Name"),
    ],
)
def test_other_fields_are_refused(name, reason):
    with pytest.raises(RuleError, match=f"^target: .*{reason}"):
        target(name)


def test_the_setting_that_names_a_field_is_told():
    with pytest.raises(RuleError, match=r"^key: there is no field"):
        source("x", "key")
