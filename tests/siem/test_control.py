from __future__ import annotations

import pytest

from deodar.siem import control
from deodar.siem.errors import ControlError


def test_nobody_behind_the_socket_is_not_running(tmp_path):
    with pytest.raises(control.NotRunning, match=r"control\.sock"):
        control.call(tmp_path / "control.sock", "GET", "/status")


def test_a_refusal_carries_the_programs_own_words(core):
    with pytest.raises(ControlError, match="no search request"):
        control.call(core.home.socket, "POST", "/search", {"nonsense": 1})
    with pytest.raises(ControlError, match=r"(?i)not found"):
        control.call(core.home.socket, "GET", "/nonsense")


def test_an_answer_is_returned(core):
    assert set(control.call(core.home.socket, "GET", "/status").json()) >= {"stored", "batches"}
