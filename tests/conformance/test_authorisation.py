from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select
from tests.conformance.conftest import Kata, openssl
from tests.conformance.script import own_address
from tests.edr.conftest import deodar

from deodar.edr.tables import audit
from deodar.tls import certificates

UNAUTHORISED = (401, {"error": "Unauthorized"})


def rows(kata: Kata, ip: str) -> list[tuple[str, str]]:
    return [(row.id, row.state) for row in kata.register.list() if row.ip == ip]


def another_pem(folder: Path, days: int = 365) -> Path:
    path = folder / "another.pem"
    path.write_bytes(certificates.self_signed("another", days).pem)
    return path


@pytest.mark.row("2", "any request with an id and a certificate asks for authorisation")
def test_any_request_asks(kata):
    script = kata.script()
    script.send(f"/kata/events_api/v1/{script.id}/events?max_timeout=PT0S")
    assert rows(kata, script.ip) == [(script.id, "pending")]


@pytest.mark.row("2", "before acceptance: 401")
def test_a_poller_waits_for_the_administrator(kata):
    script = kata.script()
    for _ in range(3):
        answer = script.get()
        assert (answer.status, answer.json) == UNAUTHORISED
    kata.register.accept(script.id)
    assert script.get().status == 200


@pytest.mark.row("2", "only authorised systems can use the API")
def test_parameters_are_not_even_looked_at(kata):
    answer = kata.script().get(max_events="x", continuation_token="y", filter="(")
    assert (answer.status, answer.json) == UNAUTHORISED


@pytest.mark.row("2", "several with one id and certificate make one request")
def test_a_crowd_makes_one_request(kata):
    script = kata.script()
    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(lambda _: script.get(), range(16)))
    assert {answer.status for answer in answers} == {401}
    assert rows(kata, script.ip) == [(script.id, "pending")]


@pytest.mark.row("2", "another certificate repeats the procedure")
def test_another_certificate(kata, tmp_path):
    old = kata.accepted()
    new = kata.script(old.id, another_pem(tmp_path), ip=old.ip)
    assert (new.get().status, old.get().status) == (401, 200)
    (pending,) = [row for row in kata.register.list("pending") if row.ip == old.ip]
    kata.register.accept(str(pending.number))
    assert (new.get().status, old.get().status) == (200, 401)


@pytest.mark.row("2", "the list shows address, name, id, fingerprint, state")
def test_the_list(kata):
    script = kata.script()
    script.get()
    kata.register.accept(script.id, "The SIEM")
    folder = kata.installation.directory.path
    printed = deodar("external-systems", "list", "--dir", folder, "--json")
    (row,) = [r for line in printed.splitlines() if (r := json.loads(line))["ip"] == script.ip]
    digest = certificates.fingerprint(kata.pem.read_bytes())
    assert (row["id"], row["name"], row["state"]) == (script.id, "The SIEM", "accepted")
    assert row["digest"] == digest
    assert script.id in deodar("external-systems", "list", "--dir", folder)


@pytest.mark.row("2", "the fingerprint can be compared with the client's own tools")
@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_openssl_says_the_same_fingerprint(kata):
    script = kata.script()
    script.get()
    words = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(kata.pem)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    (row,) = [row for row in kata.register.list() if row.ip == script.ip]
    assert said.strip().partition("=")[2].replace(":", "").lower() == row.digest


@pytest.mark.row("2", "accept, reject")
@pytest.mark.row("2", "states")
def test_decisions_and_states(kata):
    script = kata.script()
    folder = kata.installation.directory.path
    assert script.get().status == 401
    assert rows(kata, script.ip) == [(script.id, "pending")]
    deodar("external-systems", "accept", script.id, "--dir", folder)
    assert (rows(kata, script.ip), script.get().status) == ([(script.id, "accepted")], 200)
    deodar("external-systems", "reject", script.id, "--dir", folder)
    answer = script.get()
    assert (answer.status, answer.json) == UNAUTHORISED
    assert rows(kata, script.ip) == [(script.id, "rejected")]
    deodar("external-systems", "delete", script.id, "--dir", folder)
    assert rows(kata, script.ip) == []
    assert script.get().status == 401
    assert rows(kata, script.ip) == [(script.id, "pending")]


@pytest.mark.row("2", "accepting and rejecting is audited")
def test_the_audit_tells_who_decided_what(kata):
    script = kata.accepted()
    kata.register.reject(script.id)
    with kata.database.read() as connection:
        found = connection.execute(select(audit).where(audit.c.subject == script.id)).all()
    assert [row.action for row in found] == ["external-system accept", "external-system reject"]
    digest = certificates.fingerprint(kata.pem.read_bytes())
    for row in found:
        assert row.user
        assert script.ip in row.details
        assert digest in row.details


@pytest.mark.row("2", "after a revocation it must be accepted again")
def test_access_comes_back_with_another_acceptance_and_the_token_with_it(kata):
    script = kata.accepted()
    token = script.get(filter=kata.put_marked(2), max_events=1).token
    kata.register.reject(script.id)
    assert script.get(continuation_token=token).status == 401
    kata.register.accept(script.id)
    assert script.get(continuation_token=token).ids == ["1"]


@pytest.mark.row("2", "address and certificate are unique")
@pytest.mark.parametrize("state", ["pending", "accepted", "rejected"])
def test_another_id_conflicts_whatever_the_state(kata, state):
    first = kata.script()
    first.get()
    if state != "pending":
        kata.register.accept(first.id)
    if state == "rejected":
        kata.register.reject(first.id)
    assert kata.script("somebody", ip=first.ip).get().status == 409
    assert rows(kata, first.ip) == [(first.id, state)]


REQUEST = "req -x509 -nodes -days 365 -subj /CN=kuma.example.org -keyout key.pem -out cert.pem"
RECIPES = {
    "poller": (
        "genrsa -out key.pem 2048",
        "req -new -sha256 -subj /CN=localhost -key key.pem -out request.pem",
        "x509 -req -sha256 -days 365 -in request.pem -signkey key.pem -out cert.pem",
    ),
    "one command": (f"{REQUEST} -newkey rsa:2048",),
    "elliptic": (f"{REQUEST} -newkey ec -pkeyopt ec_paramgen_curve:P-256",),
}


@pytest.mark.row("2", "certificates are self-signed as clients make them")
@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_self_made_certificates(kata, tmp_path, recipe):
    openssl(tmp_path, *RECIPES[recipe])
    pem = tmp_path / "both.pem"
    pem.write_bytes((tmp_path / "cert.pem").read_bytes() + (tmp_path / "key.pem").read_bytes())
    assert kata.accepted(pem=pem).get().status == 200


@pytest.mark.row("2", "a certificate from an authority works too")
def test_a_certificate_from_some_authority(kata, tmp_path):
    authority = certificates.make_authority("Some company")
    request, key = certificates.make_request("siem")
    pem = tmp_path / "issued.pem"
    issued = certificates.issue_client(authority, request, "siem")
    pem.write_bytes(key + issued + authority.certificate)
    assert kata.accepted(pem=pem).get().status == 200


@pytest.mark.row("2", "the certificate's dates are checked")
@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
@pytest.mark.parametrize(
    ("dates", "words"),
    [
        ("-not_before 20200101000000Z -not_after 20210101000000Z", "has expired"),
        ("-not_before 20900101000000Z -not_after 20910101000000Z", "is not valid yet"),
    ],
)
def test_a_certificate_out_of_its_dates_is_not_accepted(kata, tmp_path, dates, words):
    pem = dated(tmp_path, dates)
    script = kata.script(pem=pem)
    assert script.get().status == 401
    from deodar.edr.errors import NotAcceptable

    (row,) = [row for row in kata.register.list() if row.ip == script.ip]
    with pytest.raises(NotAcceptable, match=words):
        kata.register.accept(str(row.number))
    assert script.get().status == 401


@pytest.mark.row("2", "the certificate's dates are checked")
def test_a_certificate_that_expires_later_is_refused_and_the_log_says_why(kata):
    script = kata.accepted()
    from sqlalchemy import update

    from deodar.edr.tables import external_systems

    with kata.database.write() as connection:
        own = external_systems.c.ip == script.ip
        connection.execute(update(external_systems).where(own).values(not_after_us=1))
    answer = script.get()
    assert (answer.status, answer.json) == UNAUTHORISED
    told = [line for line in kata.log.splitlines() if "certificate_refused" in line]
    assert "has expired" in told[-1]
    assert script.id in told[-1]


def dated(folder: Path, dates: str) -> Path:
    """Return a self-signed certificate with these dates, made by an authority's command."""
    (folder / "index").write_text("")
    (folder / "serial").write_text("01\n")
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    start, end = dates.split()[1::2]
    openssl(
        folder,
        "genrsa -out key.pem 2048",
        "req -new -sha256 -subj /CN=late -key key.pem -out request.pem",
        "ca -batch -config ca.cnf -selfsign -keyfile key.pem -in request.pem -out cert.pem "
        f"-startdate {start} -enddate {end} -notext",
    )
    pem = folder / "dated.pem"
    pem.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return pem


@pytest.mark.row("2", "a changed id or address is a new initial request")
def test_a_changed_id_or_address_begins_anew(kata, tmp_path):
    mark = kata.put_marked(3)
    script = kata.accepted()
    token = script.get(filter=mark).token
    moved = kata.script(script.id, ip=own_address())
    assert moved.get(continuation_token=token).status == 401  # asks anew, whatever it shows
    (row,) = [row for row in kata.register.list("pending") if row.ip == moved.ip]
    kata.register.accept(str(row.number))
    assert moved.get(filter=mark).ids == ["0", "1", "2"]
    renamed = kata.accepted(pem=another_pem(tmp_path), ip=script.ip)
    assert renamed.get(filter=mark).ids == ["0", "1", "2"]
    refused = renamed.get(continuation_token=token)
    assert (refused.status, refused.json) == (404, {"error": "Continuation token not found"})


@pytest.mark.row("2", "history comes first, then what is new")
def test_history_comes_before_the_present(kata):
    mark = kata.put_marked(5)
    script = kata.accepted()
    first = script.get(filter=mark, max_events=3)
    kata.put_marked(2, 5, HostName=mark.split("'")[1])
    rest = script.get(continuation_token=first.token)
    assert first.ids + rest.ids == [f"{n}" for n in range(7)]


@pytest.mark.row("2", "history comes first, then what is new")
def test_without_history_only_the_present_comes(kata):
    mark = kata.put_marked(2)
    script = kata.accepted()
    kata.settings.set("events_api.history", "none")
    try:
        end = time.monotonic() + 20
        while (answer := script.get(filter=mark)).ids:
            assert time.monotonic() < end
            time.sleep(0.1)
        kata.put_marked(1, 2, HostName=mark.split("'")[1])
        assert script.get(continuation_token=answer.token).ids == ["2"]
    finally:
        kata.settings.reset("events_api.history")


@pytest.mark.row("2", "a client that repeats at once on 401 makes one request")
def test_a_client_that_repeats_at_once_is_no_burden(kata):
    script = kata.script()
    connection = script.connect()
    target = f"/kata/events_api/v1/{script.id}/events"
    count, end = 0, time.monotonic() + 3
    with contextlib.closing(connection):
        while time.monotonic() < end:
            connection.request("GET", target)
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())) == UNAUTHORISED
            count += 1
    assert 4 <= count <= 20  # four a second, not hundreds
    assert rows(kata, script.ip) == [(script.id, "pending")]
    told = [line for line in kata.log.splitlines() if script.id in line]
    assert len(told) == 1


@pytest.mark.row("2", "several clients with one identity read independently")
def test_two_clients_with_one_identity(kata):
    mark = kata.put_marked(6)
    script = kata.accepted()
    one = script.get(filter=mark, max_events=2)
    two = script.get(filter=mark, max_events=4)
    assert script.get(continuation_token=one.token).ids == ["2", "3", "4", "5"]
    assert script.get(continuation_token=two.token).ids == ["4", "5"]
    got: list[list[str]] = []

    def poll(token: str) -> None:
        got.append(script.get(continuation_token=token, max_events=1, max_timeout="PT20S").ids)

    last = script.get(filter=mark).token
    waiting = [threading.Thread(target=poll, args=(last,)) for _ in range(3)]
    for one_thread in waiting:
        one_thread.start()
    kata.put_marked(1, 6, HostName=mark.split("'")[1])
    for one_thread in waiting:
        one_thread.join(30)
    assert got == [["6"]] * 3


@pytest.mark.row("2", "after Continuation token not found another certificate helps")
def test_the_ways_out_of_a_lost_token(kata, tmp_path):
    mark = kata.put_marked(2)
    script = kata.accepted()
    assert script.get(continuation_token="lost").status == 404
    assert script.get(filter=mark).ids == ["0", "1"]
    assert kata.accepted(pem=another_pem(tmp_path)).get(filter=mark).ids == ["0", "1"]


@pytest.mark.row("2", "all nodes behind one name share authorisations and tokens")
async def test_two_nodes_behind_one_name(tmp_path, settings, engine, installation):
    import asyncio

    from tests.conformance.script import Script
    from tests.edr.conftest import running

    from deodar.edr import installation as installations

    shared = f"sqlite+pysqlite:///{installation.directory.path / 'edr.db'}"
    other = tmp_path / "other"
    second = installations.init(other, msgspec.structs.replace(settings, database=shared))
    (other / "token.key").unlink()
    shutil.copy(installation.directory.path / "token.key", other / "token.key")
    second = installations.open_(other)
    pem = another_pem(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(running(installation, engine))
        await one.put([{"EventType": "process", "Id": f"{n}"} for n in range(4)])
        two = await stack.enter_async_context(running(second, engine))
        nodes = [
            Script(
                node.url,
                node.installation.directory.path / "authority.pem",
                pem,
                "siem",
                "127.9.9.9",
            )
            for node in (one, two)
        ]
        assert {(await asyncio.to_thread(node.get)).status for node in nodes} == {401}
        assert len(one.register.list()) == 1
        one.register.accept("siem")
        first = await asyncio.to_thread(nodes[0].get, filter="Id != '1'", max_events=1)
        assert first.ids == ["0"]
        rest = await asyncio.to_thread(nodes[1].get, continuation_token=first.token)
        assert rest.ids == ["2", "3"]
