from __future__ import annotations

import msgspec
import pytest

from deodar.siem.connectors.status import Status


def test_a_status_survives_json():
    status = Status("yellow", "waiting", "accept it")
    assert msgspec.json.decode(msgspec.json.encode(status), type=Status) == status


def test_there_are_no_other_colours():
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"colour": "blue", "reason": ""}, Status)
