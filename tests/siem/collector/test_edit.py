from __future__ import annotations

import pytest

from deodar.kit.directory import StateDirectory
from deodar.kit.errors import SettingsError
from deodar.siem import setup
from deodar.siem.collector.edit import propose, save
from deodar.siem.collector.home import settings_of


@pytest.fixture
def home(tmp_path):
    siem = setup.init_siem(tmp_path / "siem", "127.0.0.1", 7210, "")
    made = setup.add_collector(siem, "kedr", setup.Source(("edr:9443",), insecure=True))
    return StateDirectory(tmp_path / "siem" / "collectors" / made.name)


def test_values_are_toml_or_plain_text(home):
    change = propose(
        home,
        [
            "max_events=500",
            "client_timeout=60",
            "filter=EventType == 'process'",
            "description=12",
            'connector.tags=["a", "b"]',
            "start=2026-03-01T12:00:00Z",
            "trust_first=true",
            "insecure=false",
        ],
    )
    save(home, change)
    connector = settings_of(home).connector
    assert (connector.max_events, connector.client_timeout) == (500, 60.0)
    assert (connector.filter, connector.description) == ("EventType == 'process'", "12")
    assert (connector.tags, connector.start) == (["a", "b"], "2026-03-01T12:00:00Z")
    assert (connector.trust_first, connector.insecure) == (True, False)
    assert change.warning == ""
    assert "max_events: 0 -> 500" in change.differences


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('urls=["edr:1"]', "its address"),
        ("external_id=00000000-0000-4000-8000-000000000001", "the external id"),
    ],
)
def test_what_makes_an_initial_request_is_told_and_not_saved(home, text, what):
    before = home.read("collector.toml")
    change = propose(home, [text])
    assert "initial request" in change.warning
    assert what in change.warning
    assert home.read("collector.toml") == before


def test_the_same_address_in_another_spelling_is_no_other_stream(home):
    assert propose(home, ['urls=["https://edr:9443/"]']).warning == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_events", "KEY=VALUE"),
        ("max_evens=1", "max_events"),
        ("kind=tcp", "KEY=VALUE"),
        ("max_events=-1", "max_events"),
        ("max_events=many", "max_events"),
        ('urls=["a b"]', "blanks"),
        ("max_timeout=5000", "client_timeout"),
        ("max_body_bytes=500000000000", "max_body_bytes"),
        ("max_body_bytes=500000000", "journal_bytes|max_body_bytes"),
    ],
)
def test_what_cannot_be_is_refused(home, text, words):
    if text == "max_body_bytes=500000000":
        text = "max_body_bytes=536870912"
        content = home.read("collector.toml").decode()
        content = content.replace("journal_bytes = 4294967296", "journal_bytes = 1073741824")
        home.write("collector.toml", content.encode())
    with pytest.raises(SettingsError, match=words):
        propose(home, [text])


def test_nothing_different_has_no_differences_and_the_head_of_the_file_stays(home):
    assert propose(home, ["max_events=0"]).differences == ()
    head = home.read("collector.toml").decode().split("\n\n")[0].splitlines()[0]
    assert head.startswith("# ")
    assert propose(home, ["max_events=1"]).text.splitlines()[0] == head
