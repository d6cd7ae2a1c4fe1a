from __future__ import annotations

import asyncio
import contextlib
import threading

import msgspec
import pytest
from sqlalchemy import select

from deodar.edr.database import Database
from deodar.edr.errors import NotKnown
from deodar.edr.live_settings import LOOK_EVERY, LiveSettings, SettingsStore
from deodar.edr.settings import EdrSettings, EventsApi
from deodar.edr.tables import audit
from deodar.edr.tables import settings as table
from deodar.kit.errors import SettingsError

from .conftest import running, until

FILE = EdrSettings(events_api=EventsApi(max_events=500))


@pytest.fixture
def store(database: Database) -> SettingsStore:
    return SettingsStore(database, FILE)


def test_the_file_holds_until_something_is_changed(store):
    assert store.in_force() == FILE
    assert store.get("events_api.max_events").value == 500
    listed = {one.name: one for one in store.list()}
    assert listed["events_api.window"].value == listed["events_api.window"].file_value == 7200.0
    assert all(one.changed_us == 0 for one in listed.values())


def test_a_change_is_kept_told_and_audited(store, database):
    made = store.set("events_api.max_events", "2000", user="somebody")
    assert (made.value, made.file_value, made.user) == (2000, 500, "somebody")
    assert store.get("events_api.max_events") == made
    assert store.in_force().events_api.max_events == 2000
    assert store.set("external_systems.pin_address", "false").value is False
    with database.read() as connection:
        told = connection.execute(select(audit).order_by(audit.c.number)).first()
    assert (told.action, told.subject, told.user) == (
        "setting set",
        "events_api.max_events",
        "somebody",
    )
    assert told.details == "500 -> 2000"


def test_a_reset_lets_the_file_hold_again(store, database):
    store.set("events_api.history", "PT1H")
    assert store.reset("events_api.history").value == "all"
    assert store.in_force() == FILE
    with database.read() as connection:
        actions = connection.execute(select(audit.c.action).order_by(audit.c.number)).scalars()
        assert list(actions) == ["setting set", "setting reset"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("events_api.max_events", "0", "events_api.max_events: .*>= 1"),
        ("events_api.max_events", "many", "events_api.max_events"),
        ("events_api.history", "some", "history"),
        ("events_api.history", "P" * 1001, "longer than 1000"),
        ("events_api.fetch_timeout", "301", "fetch_timeout is above"),
        ("events_api.fetch_timeout", "nan", "events_api.fetch_timeout"),
        ("events_api.content_type", "text/html", "content_type"),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(store, name, value, words):
    with pytest.raises(SettingsError, match=words):
        store.set(name, value)
    assert store.in_force() == FILE


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("events_api.max_event", "did you mean events_api.max_events"),
        ("port", "settings list"),
    ],
)
def test_a_setting_that_is_none_is_told(store, name, words):
    for act in (store.get, store.reset, lambda name: store.set(name, 1)):
        with pytest.raises(NotKnown, match=words):
            act(name)


def test_a_reset_that_would_not_fit_the_others_is_refused(database):
    store = SettingsStore(database, EdrSettings())
    store.set("events_api.max_fetch_timeout", "900")
    store.set("events_api.fetch_timeout", "600")
    with pytest.raises(SettingsError, match="fetch_timeout is above"):
        store.reset("events_api.max_fetch_timeout")
    assert store.in_force().events_api.max_fetch_timeout == 900


def test_a_change_of_another_release_is_left_out(store, database):
    row = {"name": "events_api.gone", "value": "1", "changed_us": 1, "user": "x"}
    with database.write() as connection:
        connection.execute(table.insert().values(**row))
    assert store.in_force() == FILE


def test_changes_at_once_are_all_made_and_fit_together(store, database):
    values = range(10, 90, 10)

    def work(number: int) -> None:
        own = SettingsStore(database, FILE)
        own.set("events_api.max_events", number)
        own.set("events_api.fetch_timeout", number)

    threads = [threading.Thread(target=work, args=(n,)) for n in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert store.get("events_api.max_events").value in values
    with database.read() as connection:
        assert len(connection.execute(select(audit)).all()) == 2 * len(values)


async def test_followers_are_told_of_changes(store):
    live = LiveSettings(store, FILE)
    seen: list[int] = []
    live.subscribe(lambda now: seen.append(now.events_api.max_events))
    async with live.followed():
        await asyncio.to_thread(store.set, "events_api.max_events", 7)

        async def changed() -> bool:
            return live.current.events_api.max_events == 7

        await until(changed)
    assert seen == [500, 7]


async def test_with_the_database_away_what_held_goes_on(store, database):
    live = LiveSettings(store, FILE)
    store.set("events_api.max_events", 7)
    await live.look()
    with database.write() as connection:
        table.drop(connection)
    await live.look()
    assert live.current.events_api.max_events == 7


async def test_a_change_takes_effect_within_a_second_on_every_server(
    tmp_path, settings, engine, installation
):
    """Two servers on one database and one store, as nodes behind one name are."""
    from deodar.edr import installation as installations

    shared = f"sqlite+pysqlite:///{installation.directory.path / 'edr.db'}"
    other = installations.init(
        tmp_path / "other", msgspec.structs.replace(settings, database=shared)
    )
    async with contextlib.AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running(one, engine)) for one in (installation, other)
        ]
        systems = [node.system() for node in nodes]
        await systems[0].accepted()
        store = SettingsStore(nodes[0].database, settings)
        assert [(await one.get(max_events=3)).status_code for one in systems] == [200, 200]
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(store.set, "events_api.max_events", 2)
        changed = loop.time()
        for one in systems:
            while (answer := await one.get(max_events=3)).status_code == 200:
                assert loop.time() - changed < LOOK_EVERY + 1.5
                await asyncio.sleep(0.05)
            assert answer.json()["error"] == (
                "Bad Request: max_events 3 is greater than the allowed value"
            )
