from __future__ import annotations

import msgspec
import pytest
from tests.siem.services.conftest import report

from deodar.siem.errors import NotPossible, ServiceUnreachable
from deodar.siem.services.asking import ask
from deodar.siem.services.wire import Host


def test_one_without_a_port_cannot_be_asked(known, service):
    with pytest.raises(NotPossible, match="no API port"):
        ask(known.home, service, "status")


def test_one_that_does_not_answer_is_told_with_its_address(known, service):
    told = report(host=Host("h", "1", 9))
    silent = msgspec.structs.replace(service, report=told, address="127.0.0.1")
    with pytest.raises(ServiceUnreachable, match=r"https://127\.0\.0\.1:9/metrics"):
        ask(known.home, silent, "metrics")
