from __future__ import annotations

import msgspec
import pytest

from deodar.edr.settings import EdrSettings, EventsApi, check, history_seconds
from deodar.kit import settings as files
from deodar.kit.errors import SettingsError


def test_the_defaults_survive_being_written_and_read():
    assert files.parse(files.dump(EdrSettings()), EdrSettings, where="x") == EdrSettings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 70000", "port"),
        ("[events_api]\nmax_events = 0", "max_events"),
        ("[events_api]\nmax_event = 1", "max_events"),
        ('[events_api]\ncontent_type = "text/html"', "content_type"),
        ("[ingest]\nqueue_bytes = -1", "queue_bytes"),
    ],
)
def test_a_wrong_setting_is_named(text, words):
    with pytest.raises(SettingsError, match=words):
        files.parse(text, EdrSettings, where="edr.toml")


@pytest.mark.parametrize(
    ("text", "seconds"), [("all", None), ("none", 0.0), ("PT2H", 7200.0), ("P1D", 86_400.0)]
)
def test_history_is_all_none_or_a_duration(text, seconds):
    assert history_seconds(text) == seconds


@pytest.mark.parametrize(
    "changed",
    [
        EdrSettings(events_api=EventsApi(history="some")),
        EdrSettings(events_api=EventsApi(fetch_timeout=60, max_fetch_timeout=30)),
        EdrSettings(names=()),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(changed):
    with pytest.raises(SettingsError):
        check(changed)
    assert check(msgspec.structs.replace(EdrSettings())) == EdrSettings()
