from __future__ import annotations

import json

from deodar.siem.services.api.openapi import page


def test_the_page_is_the_document():
    assert json.loads(page())["info"]["title"] == "Deodar SIEM"
