"""Settings: each does what KUMA's connector says that it does."""

from __future__ import annotations

import asyncio
import json
import uuid
import zipfile

import pytest
from tests.conformance.connector.conftest import at_work, change
from tests.conformance.connector.server import Reply, TroubleServer, in_turn, page
from tests.siem.conftest import DEODAR
from tests.siem.test_cli import deodar

from deodar.events.builders import EventBuilder
from deodar.kit.children import Child
from deodar.kit.errors import SettingsError
from deodar.siem.collector.home import settings_of
from deodar.siem.setup import Source, add_collector
from deodar.tls.certificates import fingerprint, self_signed


def refused(home, **changes):
    """Return what is said of a setting that cannot be."""
    before = home.read("collector.toml")
    change(home, **changes)
    with pytest.raises(SettingsError) as caught:
        settings_of(home)
    home.write("collector.toml", before)
    return str(caught.value)


@pytest.mark.connector_row("1.1", "name: at most 128 characters")
def test_name(idle, saw_row):
    home = idle(name="Ж" * 128).home
    assert settings_of(home).connector.name == "Ж" * 128
    assert "name" in refused(home, name="x" * 129)
    saw_row("128 characters saved, 129 refused")


@pytest.mark.connector_row("1.1", "tenant: the collector's events belong to it")
async def test_tenant(station, saw_row):
    events = EventBuilder(1).events(2)
    async with station(in_turn(page("t1", events))) as made:
        found = await made.stored(2)
        tenant = settings_of(made.home).tenant_id
        assert {event["TenantID"] for event in found} == {tenant}
    saw_row("TenantID of each event is the collector's")


@pytest.mark.connector_row("1.1", "type: kata/edr")
def test_type(idle, saw_row):
    home = idle().home
    text = home.read("collector.toml").decode()
    assert 'kind = "kata/edr"' in text
    home.write("collector.toml", text.replace("kata/edr", "kata/edrr").encode())
    with pytest.raises(SettingsError, match="kata/edrr"):
        settings_of(home)
    home.write("collector.toml", text.encode())
    saw_row('`kind = "kata/edr"`; another kind is refused')


@pytest.mark.connector_row("1.1", "tags: resources are found by them")
def test_tags(idle, saw_row):
    made = idle(tags=["endpoints", "north"])
    idle(tags=["south"])
    words = ("collector", "list", "--tag", "north", "--dir", made.core.home.path, "--json")
    listed = [json.loads(line)["name"] for line in deodar(*words).stdout.splitlines()]
    assert listed == [made.name]
    saw_row("`--tag north` lists one collector of several")


@pytest.mark.connector_row("1.1", "URL: host:port, IPv4:port and [IPv6%zone]:port, 443 by default")
async def test_url_forms(core, idle, saw_row):
    home = idle().home
    change(home, urls=["edr", "edr:9443", "10.0.0.1:1", "[fe80::1%eth0]:9443"])
    assert settings_of(home).connector.servers() == (
        "https://edr:443",
        "https://edr:9443",
        "https://10.0.0.1:1",
        "https://[fe80::1%eth0]:9443",
    )
    with TroubleServer(host="::1") as other:
        home = core.collector(other.url, pins=(other.pin,))
        async with at_work(home):
            await other.reached(1)
    saw_row("the four forms are saved as addresses with a port; asked over [::1]:PORT")


@pytest.mark.connector_row("1.1", "URL: saving is refused with a tab or a blank in it")
def test_blanks_in_a_url(core, idle, saw_row):
    made = idle()
    for url in ("ed r:443", "edr:443\t", " edr"):
        with pytest.raises(SettingsError, match="blanks"):
            add_collector(core.home, f"b-{uuid.uuid4().hex[:8]}", Source((url,)))
        before = made.home.read("collector.toml")
        words = ("set", made.name, f'urls=["{url}"]', "--yes", "--dir", core.home.path)
        ran = deodar("collector", *(word.replace("\t", "\\t") for word in map(str, words)), code=2)
        assert "blanks" in ran.stderr
        assert made.home.read("collector.toml") == before
    saw_row("refused when added and when changed; the file stays as it was")


@pytest.mark.connector_row(
    "1.1", "secret: a certificate with its key, made by a button or uploaded"
)
async def test_secret(station, tmp_path, saw_row):
    async with station() as made:
        await made.server.reached(1)
        shown = fingerprint(made.home.read("secret.pem"))
        assert made.server.asked[0].certificate == shown
    command = ("collector", "new-certificate", made.name, "--yes", "--json")
    place = ("--dir", made.core.home.path)
    fresh = json.loads(deodar(*command, *place).stdout)["certificate_sha256"]
    own = self_signed("mine")
    with zipfile.ZipFile(tmp_path / "certificate.zip", "w") as archive:
        archive.writestr("cert.pem", own.certificate)
        archive.writestr("key.pem", own.key)
    options = ("--certificate", tmp_path / "certificate.zip")
    mine = json.loads(deodar(*command, *options, *place).stdout)["certificate_sha256"]
    assert mine == fingerprint(own.certificate)
    assert len({shown, fresh, mine}) == 3
    async with at_work(made.home):
        await made.server.reached(len(made.server.asked) + 1)
        assert made.server.asked[-1].certificate == mine
    saw_row("the server saw the made one; after `new-certificate` one out of a certificate.zip")


@pytest.mark.connector_row("1.1", "external id: generated, a UUID")
async def test_external_id(station, saw_row):
    async with station() as made:
        await made.server.reached(1)
        chosen = settings_of(made.home).connector.external_id
        assert str(uuid.UUID(chosen)) == chosen
        assert made.server.asked[0].external_id == chosen
    assert "external_id" in refused(made.home, external_id="x")
    saw_row("made by `collector add`, is in the path of the request; no UUID is refused")


@pytest.mark.connector_row("1.1", "description: at most 4,000 characters")
def test_description(idle, saw_row):
    home = idle(description="d" * 4000).home
    assert len(settings_of(home).connector.description) == 4000
    assert "description" in refused(home, description="d" * 4001)
    saw_row("4,000 characters saved, 4,001 refused")


@pytest.mark.connector_row("1.1", "debug: a detailed log")
async def test_debug(idle, tmp_path, saw_row):
    lines = {}
    for debug in (False, True):
        made = idle(debug=debug)
        words = ["siem", "collector", "run", made.name, "--dir", str(made.core.home.path)]
        child = Child(made.name, [*DEODAR, *words], tmp_path).start()
        await asyncio.to_thread(child.ready, 60)
        await made.server.reached(len(made.server.asked) + 3)
        await asyncio.to_thread(child.stop)
        lines[debug] = child.last_words(100).count('"level": "debug"')
    assert lines[False] == 0
    assert lines[True] > 0
    saw_row("a line for each answer with it, none without")


@pytest.mark.connector_row("1.1", "character encoding: converted to UTF-8; none by default")
async def test_character_encoding(station, idle, saw_row):
    assert settings_of(idle().home).connector.character_encoding == ""
    event = {**EventBuilder(1).event("process"), "HostName": "узел-Ж"}
    text = json.dumps({"events": [event], "continuationToken": "t1"}, ensure_ascii=False)
    for name in ("windows-1251", "utf-16"):
        body = text.encode(name)

        script = in_turn(Reply(body=body), then=lambda _asked: page("t1", delay=0.05))
        async with station(script, character_encoding=name) as made:
            (found,) = await made.stored(1)
            assert found["DeviceHostName"] == "узел-Ж"
    assert "no such" in refused(made.home, character_encoding="no such")
    saw_row("windows-1251 and utf-16 come out as UTF-8; an unknown name is refused")


@pytest.mark.connector_row("1.1", "number of events: 0 leaves it to the server, N is asked for")
async def test_number_of_events(station, saw_row):
    for number, query in ((0, None), (250, "250")):
        async with station(max_events=number) as made:
            await made.server.reached(1)
            assert made.server.asked[0].query.get("max_events") == query
    saw_row("no `max_events` with 0; `max_events=250` with 250")


@pytest.mark.connector_row("1.1", "events fetch timeout: 0 leaves it to the server, N is asked for")
async def test_events_fetch_timeout(station, saw_row):
    for seconds, query in ((0.0, None), (5.0, "PT5S"), (0.25, "PT0.25S")):
        async with station(max_timeout=seconds) as made:
            await made.server.reached(1)
            assert made.server.asked[0].query.get("max_timeout") == query
    saw_row("no `max_timeout` with 0; PT5S with 5; PT0.25S with 0.25")


@pytest.mark.connector_row(
    "1.1", "client timeout: 0 means 1,800 s; after it the request is repeated"
)
async def test_client_timeout(station, idle, saw_row):
    assert settings_of(idle(client_timeout=0.0).home).connector.patience == 1800
    slow = page("t1", delay=60)
    async with station(in_turn(slow), client_timeout=0.4) as made:
        await made.server.reached(2)
        first, second = made.server.asked[:2]
        assert first.token is None
        assert second.token is None
        passed = second.when - first.when
    assert 0.4 <= passed < 5
    saw_row(f"with 0.4 s the request was repeated after {passed:.1f} s, pause included")


@pytest.mark.connector_row("1.1", "client timeout: greater than the events fetch timeout")
def test_client_timeout_below_the_fetch_timeout(idle, saw_row):
    home = idle().home
    assert "client_timeout" in refused(home, client_timeout=5.0, max_timeout=5.0)
    assert "client_timeout" in refused(home, client_timeout=0.0, max_timeout=1800.0)
    saw_row("5 with 5 and 0 with 1,800 are refused")


@pytest.mark.connector_row("1.1", "KEDRQL filter: sent with each request")
async def test_filter(station, saw_row):
    wanted = "EventType == 'process' AND FileName != '100% & more'"
    script = in_turn(page("t1", EventBuilder(1).events(1)), then=lambda _a: page("t1", delay=0.05))
    async with station(script, filter=wanted) as made:
        await made.server.reached(3)
        assert {asked.query["filter"] for asked in made.server.asked[:3]} == {wanted}
    saw_row("the same text in three requests, URL-encoded")
