from __future__ import annotations

import msgspec
import pytest

from deodar.edr.settings import EdrSettings, EventsApi, Ingest, Stream, check, history_seconds
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


SHARED = {"store": "clickhouse://db/edr", "database": "postgresql+pg8000://u:p@db/edr"}


def _with_stream(urls: tuple[str, ...], **changes: str) -> EdrSettings:
    return EdrSettings(ingest=Ingest(stream=Stream(urls=urls)), **{**SHARED, **changes})


def test_servers_that_share_a_stream_share_store_and_database():
    settings = _with_stream(("nats://n1:4222", "tls://u:p@n2:4222"))
    assert check(settings) is settings
    with pytest.raises(SettingsError, match="needs a store that all servers reach"):
        check(_with_stream(("nats://n1:4222",), store=""))
    with pytest.raises(SettingsError, match="needs a database that all servers reach"):
        check(_with_stream(("nats://n1:4222",), database="sqlite:///x"))


@pytest.mark.parametrize("url", ["n1:4222", "http://n1", "nats://n1 n2", ""])
def test_an_address_of_the_stream_that_is_none_is_told(url):
    with pytest.raises(SettingsError, match=r"ingest\.stream\.urls"):
        check(_with_stream((url,)))
