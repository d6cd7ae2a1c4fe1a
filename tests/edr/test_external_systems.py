from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select, update

from deodar.edr.database import Database, now_us, sqlite_url
from deodar.edr.errors import Ambiguous, NotAcceptable, NotKnown
from deodar.edr.external_system import Access, Caller
from deodar.edr.external_systems import Register
from deodar.edr.filters import FilterStore
from deodar.edr.settings import ExternalSystems
from deodar.edr.tables import audit, external_systems
from deodar.tls import certificates

from .conftest import self_made


def der(number: int = 0) -> bytes:
    return certificates.der(self_made(number).certificate)


def caller(name: str = "siem", ip: str = "10.0.0.1", number: int = 0) -> Caller:
    return Caller(name, ip, der(number))


def made_for(begin: timedelta, end: timedelta) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = x509.Name([])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + begin)
        .not_valid_after(now + end)
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.DER)


@pytest.fixture
def register(database) -> Register:
    return Register(database, ExternalSystems())


def states(register: Register) -> dict[str, str]:
    return {f"{row.id} {row.ip}": row.state for row in register.list()}


def test_asking_from_many_threads_at_once_makes_one_row(tmp_path):
    database = Database(sqlite_url(tmp_path / "x.db"))
    register = Register(database, ExternalSystems())
    answers: list[Access] = []
    go = threading.Barrier(16)

    def ask() -> None:
        go.wait(10)
        answers.extend(register.authorise(caller()) for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [Access.UNAUTHORIZED] * 80
    assert states(register) == {"siem 10.0.0.1": "pending"}
    database.close()


def test_acceptance_lets_in_and_is_audited(register, database):
    register.authorise(caller())
    row = register.accept("siem", "the SIEM")
    assert (row.state, row.name) == ("accepted", "the SIEM")
    assert register.authorise(caller()) is Access.GRANTED
    assert register.still_granted(caller())
    with database.read() as connection:
        (entry,) = connection.execute(select(audit)).all()
    assert (entry.action, entry.before) == (
        "external-system accept",
        '{"state":"pending","name":""}',
    )
    assert entry.after == '{"state":"accepted","name":"the SIEM"}'


def test_a_rejected_system_can_be_accepted_later(register):
    register.authorise(caller())
    register.reject("siem")
    assert register.authorise(caller()) is Access.UNAUTHORIZED
    register.accept("siem")
    assert register.authorise(caller()) is Access.GRANTED


def test_deleting_forgets_the_system_and_its_filters(register, database):
    register.authorise(caller())
    register.accept("siem")
    filters = FilterStore(database)
    digest = filters.keep("siem", "FileName == 'a'")
    assert register.delete("siem").state == "accepted"
    assert register.list() == []
    with pytest.raises(Exception, match="not found"):
        filters.text("siem", digest)
    assert not register.still_granted(caller())


def test_the_same_pair_under_another_id_conflicts_whatever_the_first_ones_state(register):
    register.authorise(caller("first"))
    assert register.authorise(caller("second")) is Access.CONFLICT
    register.reject("first")
    assert register.authorise(caller("second")) is Access.CONFLICT
    register.delete("first")
    assert register.authorise(caller("second")) is Access.UNAUTHORIZED


def test_repeating_accept_never_lets_in_somebody_elses_request(register):
    register.authorise(caller())
    register.accept("siem")
    register.authorise(caller(ip="6.6.6.6", number=1))  # an attacker uses the id
    with pytest.raises(Ambiguous, match="compare fingerprints"):
        register.accept("siem")
    assert states(register) == {"siem 10.0.0.1": "accepted", "siem 6.6.6.6": "pending"}


def test_accepting_a_new_certificate_by_number_replaces_the_old_one(register):
    register.authorise(caller())
    register.accept("siem")
    register.authorise(caller(number=1))
    pending = register.list("pending")[0]
    register.accept(str(pending.number))
    assert register.authorise(caller(number=1)) is Access.GRANTED
    assert register.authorise(caller(number=0)) is Access.UNAUTHORIZED


def test_a_second_address_of_one_system_can_be_accepted_beside_the_first(register):
    register.authorise(caller())
    register.accept("siem")
    register.authorise(caller(ip="10.0.0.2"))
    register.accept(str(register.list("pending")[0].number))
    assert register.authorise(caller()) is Access.GRANTED
    assert register.authorise(caller(ip="10.0.0.2")) is Access.GRANTED


def test_without_pinned_addresses_the_certificate_alone_decides(database):
    register = Register(database, ExternalSystems(pin_address=False))
    register.authorise(caller())
    register.accept("siem")
    assert register.authorise(caller(ip="10.9.9.9")) is Access.GRANTED
    assert register.authorise(caller(ip="10.9.9.9", number=1)) is Access.UNAUTHORIZED


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        (timedelta(days=-9), timedelta(days=-1), "has expired"),
        (timedelta(days=1), timedelta(days=9), "not valid yet"),
    ],
)
def test_a_certificate_out_of_its_dates_cannot_be_accepted(register, begin, end, words):
    asking = Caller("siem", "10.0.0.1", made_for(begin, end))
    assert register.authorise(asking) is Access.UNAUTHORIZED
    with pytest.raises(NotAcceptable, match=words):
        register.accept("siem")


def test_an_accepted_certificate_ends_with_its_date(register, database):
    register.authorise(caller())
    register.accept("siem")
    with database.write() as connection:
        connection.execute(update(external_systems).values(not_after_us=now_us() - 1))
    assert register.authorise(caller()) is Access.UNAUTHORIZED


def test_a_certificate_that_cannot_be_read_is_never_accepted(register):
    assert register.authorise(Caller("siem", "10.0.0.1", b"\x30nonsense")) is Access.UNAUTHORIZED
    with pytest.raises(NotAcceptable):
        register.accept("siem")


def test_pending_requests_are_bounded_for_each_address_and_in_all(database):
    register = Register(database, ExternalSystems(max_pending=6, max_pending_per_address=3))
    register.authorise(Caller("good", "10.0.0.1", der()))
    register.accept("good")
    for n in range(10):
        register.authorise(Caller(f"scan-{n}", "6.6.6.6", b"\x30%d" % n))
    assert [row.id for row in register.list("pending")] == ["scan-7", "scan-8", "scan-9"]
    for n in range(10):
        register.authorise(Caller(f"many-{n}", f"7.7.7.{n}", b"\x30%d" % n))
    assert len(register.list("pending")) == 6
    assert register.authorise(Caller("good", "10.0.0.1", der())) is Access.GRANTED


def test_a_system_is_named_by_id_number_or_fingerprint(register):
    register.authorise(caller())
    row = register.list()[0]
    for name in (row.id, str(row.number), row.digest[:12], row.digest.upper()):
        register.reject(name)
        register.accept(name if name != row.id else str(row.number))


def test_names_that_fit_nothing_or_several_are_told(register):
    with pytest.raises(NotKnown, match="external-systems list"):
        register.accept("nobody")
    register.authorise(caller())
    register.authorise(caller(ip="10.0.0.2"))
    with pytest.raises(Ambiguous, match=r"10\.0\.0\.2"):
        register.accept("siem")
    register.accept("1")
    with pytest.raises(NotKnown, match="accepted already"):
        register.accept("1")
