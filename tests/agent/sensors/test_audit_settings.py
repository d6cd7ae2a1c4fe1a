"""The audit settings against the real kernel: changed, written down, put back by whoever comes."""

from __future__ import annotations

import os

import pytest

from deodar.agent.sensors import audit_control as control
from deodar.agent.sensors import audit_settings
from deodar.agent.sensors.audit_settings import BACKLOG, FILE, Before


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}/run:{tmp_path}/other")
    return tmp_path / "run"


@pytest.fixture
def kernel(folder):
    """The settings as they are on a host that nobody changed; put back at the end."""
    before = control.status()
    control.set_backlog_wait(4321)
    control.set_backlog_limit(64)
    yield control.status()
    control.set_enabled(before.enabled)
    control.set_backlog_limit(before.backlog_limit)
    control.set_backlog_wait(before.backlog_wait)


@pytest.mark.root
def test_nobody_waits_while_it_is_changed_and_all_is_put_back(kernel, folder):
    audit_settings.change()
    now = control.status()
    assert (now.enabled, now.backlog_limit, now.backlog_wait) == (1, BACKLOG, 0)
    done = audit_settings.put_back()
    assert control.status() == kernel
    assert any("4321" in text for text in done)
    assert not (folder / FILE).exists()
    assert audit_settings.put_back() == []


@pytest.mark.root
def test_successor_of_a_killed_agent_puts_back_what_was_before_both(kernel):
    audit_settings.change()
    audit_settings.change()
    audit_settings.put_back()
    assert control.status() == kernel


@pytest.mark.root
def test_what_somebody_else_set_meanwhile_stays(kernel):
    audit_settings.change()
    control.set_backlog_wait(77)
    control.set_backlog_limit(5000)
    audit_settings.put_back()
    now = control.status()
    assert (now.backlog_wait, now.backlog_limit) == (77, 5000)


@pytest.mark.root
def test_folder_that_cannot_be_written_is_no_reason_not_to_watch(kernel, folder):
    folder.write_text("in the way")
    audit_settings.change()
    assert control.status().backlog_wait == 0


def test_damaged_note_is_as_none(folder):
    folder.mkdir()
    assert audit_settings.read() is None
    (folder / FILE).write_text("{")
    assert audit_settings.read() is None
    (folder / FILE).write_text('{"enabled":1,"backlog_limit":64,"backlog_wait":100}')
    assert audit_settings.read() == Before(1, 64, 100)


def test_without_systemd_it_is_below_run(monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert os.fspath(audit_settings.folder()) == "/run/deodar-agent"
