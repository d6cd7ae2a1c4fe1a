from __future__ import annotations

from deodar.edr.api import reference
from deodar.edr.api.operations import operations
from deodar.edr.api.resources import RESOURCES


def test_every_operation_has_a_row_with_its_role():
    page = reference.page()
    for one in operations(RESOURCES):
        role = f"`{one.role}`" if one.role else "anybody"
        assert f"| `{one.method} /api/v1{one.path}` | {role} | " in page


def test_each_resource_has_one_heading():
    headings = [line for line in reference.page().splitlines() if line.startswith("## ")]
    assert len(headings) == len(set(headings))
