from __future__ import annotations

from deodar.siem.services.api.reference import page


def test_the_page_has_every_operation_with_its_role():
    text = page()
    assert "| `POST /api/v1/services/{name}/reset-certificate` | `administrator` |" in text
    assert "| `GET /api/v1/audit` | `viewer` |" in text
