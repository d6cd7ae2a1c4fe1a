from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from deodar.edr import tables
from deodar.edr.database import now_us
from deodar.edr.enrolment import PREFIX, Endpoints, EnrolmentRequest, Host
from deodar.edr.errors import Ambiguous, EnrolmentRefused, NotKnown
from deodar.edr.fleet import Fleet
from deodar.edr.groups import Groups
from deodar.edr.tables import audit, enrolment_tokens
from deodar.tls import certificates

from .conftest import read_token
from .fleet_world import World

AUTHORITY = certificates.make_authority("edr")


@pytest.fixture
def endpoints(database) -> Endpoints:
    return Endpoints(database)


def invited(endpoints: Endpoints, seconds: float = 60) -> str:
    return read_token(endpoints.invite("https://x:1", "p" * 64, seconds).token)["secret"]


def asked(secret: str, **host: str) -> EnrolmentRequest:
    return EnrolmentRequest(secret, certificates.make_request("evil")[0].decode(), Host(**host))


def test_the_token_tells_where_and_whom_to_trust(endpoints):
    made = endpoints.invite("https://edr:9443", "ab" * 32, 3600)
    assert made.token.startswith(PREFIX)
    told = read_token(made.token)
    assert (told["url"], told["pin"]) == ("https://edr:9443", "ab" * 32)
    assert 3500e6 < made.expires_us - now_us() <= 3600e6


def test_the_secret_itself_is_not_kept(endpoints, database):
    secret = invited(endpoints)
    with database.read() as connection:
        rows = connection.execute(select(enrolment_tokens)).all()
    assert secret not in str(rows)


def test_the_certificate_is_for_the_servers_id_and_from_its_authority(endpoints):
    done = endpoints.enroll(AUTHORITY, asked(invited(endpoints), name="web-1"), "10.0.0.9")
    der = certificates.der(done.certificate.encode())
    assert certificates.subject_name(der) == done.agent_id
    now = datetime.now(UTC)
    purpose = certificates.Purpose.CLIENT
    assert certificates.check_issued(der, AUTHORITY.certificate, now, purpose) is None
    found = endpoints.by_digest(certificates.fingerprint(der))
    assert found is not None
    assert (found.agent_id, found.name, found.address, found.state) == (
        done.agent_id,
        "web-1",
        "10.0.0.9",
        "enrolled",
    )


def test_of_many_at_once_one_gets_in(endpoints):
    secret = invited(endpoints)
    done: list[str] = []
    refused: list[str] = []

    def enroll() -> None:
        try:
            done.append(endpoints.enroll(AUTHORITY, asked(secret), "").agent_id)
        except EnrolmentRefused as error:
            refused.append(str(error))

    threads = [threading.Thread(target=enroll) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(done) == 1
    assert len(refused) == 7
    assert [endpoint.agent_id for endpoint in endpoints.list()] == done


def test_an_outdated_or_unknown_token_is_refused(endpoints):
    for secret in (invited(endpoints, -1), "unknown", ""):
        with pytest.raises(EnrolmentRefused, match="deodar edr enroll"):
            endpoints.enroll(AUTHORITY, asked(secret), "")


def test_a_bad_certificate_request_leaves_the_token_good(endpoints):
    secret = invited(endpoints)
    with pytest.raises(EnrolmentRefused, match="certificate request"):
        endpoints.enroll(AUTHORITY, EnrolmentRequest(secret, "nonsense"), "")
    assert endpoints.enroll(AUTHORITY, asked(secret), "").agent_id


def test_revoking_is_kept_and_audited(endpoints, database):
    done = endpoints.enroll(AUTHORITY, asked(invited(endpoints)), "")
    assert endpoints.revoke(done.agent_id).state == "revoked"
    with pytest.raises(NotKnown):
        endpoints.revoke("nobody")
    with database.read() as connection:
        actions = connection.execute(select(audit.c.action)).scalars().all()
    assert actions == ["enrolment-token create", "endpoint enroll", "endpoint revoke"]


def test_contacts_are_noted_but_not_with_every_packet(endpoints):
    endpoints.enroll(AUTHORITY, asked(invited(endpoints)), "10.0.0.1")
    endpoints.note_contact(endpoints.list()[0], "10.0.0.1", "1.0")
    noted = endpoints.list()[0]
    assert noted.agent_version == "1.0"
    endpoints.note_contact(noted, "10.0.0.1", "1.0")
    assert endpoints.list()[0].last_contact_us == noted.last_contact_us
    endpoints.note_contact(noted, "10.0.0.2", "1.0")
    assert endpoints.list()[0].address == "10.0.0.2"


class TestFind:
    @staticmethod
    def enroll(endpoints: Endpoints, name: str) -> str:
        return endpoints.enroll(AUTHORITY, asked(invited(endpoints), name=name), "").agent_id

    def test_an_endpoint_goes_by_its_id_and_by_its_hosts_name(self, endpoints):
        web, _ = self.enroll(endpoints, "web-1"), self.enroll(endpoints, "db-1")
        assert endpoints.find(web) == endpoints.find("web-1")
        assert endpoints.find("web-1").agent_id == web

    def test_names_are_compared_whole(self, endpoints):
        self.enroll(endpoints, "web-1")
        for name in ("web", "web-%", "", "WEB-1"):
            with pytest.raises(NotKnown, match=f"'{name}'"):
                endpoints.find(name)

    def test_of_a_name_that_several_have_the_ids_are_told(self, endpoints):
        ids = {self.enroll(endpoints, "web-1") for _ in range(2)}
        with pytest.raises(Ambiguous) as caught:
            endpoints.find("web-1")
        assert all(agent_id in str(caught.value) for agent_id in ids)
        for agent_id in ids:
            assert endpoints.find(agent_id).agent_id == agent_id

    def test_an_id_comes_before_hosts_that_bear_it_as_their_name(self, endpoints, database):
        for _ in range(30):  # more than are shown of one name
            self.enroll(endpoints, "evil")
        sought = self.enroll(endpoints, "web-1")
        table = tables.endpoints
        with database.write() as connection:
            connection.execute(update(table).where(table.c.name == "evil").values(name=sought))
        assert endpoints.find(sought).name == "web-1"

    def test_only_some_of_very_many_are_told(self, endpoints):
        for _ in range(25):
            self.enroll(endpoints, "web-1")
        with pytest.raises(Ambiguous) as caught:
            endpoints.find("web-1")
        assert len(str(caught.value)) < 1000


def test_there_is_a_report_only_after_a_synchronization(endpoints):
    done = endpoints.enroll(AUTHORITY, asked(invited(endpoints)), "")
    assert endpoints.report(done.agent_id) == ""
    assert endpoints.report("nobody") == ""


def test_a_host_that_is_known_keeps_its_group_and_tags_and_is_shown_as_such(database):
    world, fleet = World(database), Fleet(database)
    Groups(database).add("servers")
    Groups(database).add("desks")
    first = world.enroll("web-1", "servers", machine="m-1")
    fleet.tag(first.agent_id, ["dmz"])
    again = world.enroll("web-1", machine="m-1")
    assert (again.replaces, again.group_name, again.tags) == (first.agent_id, "servers", ("dmz",))
    third = world.enroll("web-1", "desks", machine="m-1")
    assert (third.replaces, third.group_name) == (again.agent_id, "desks")
    assert world.enroll("web-2", machine="m-2").replaces == ""
    assert world.enroll("web-3").replaces == world.enroll("web-4").replaces == ""
    with database.read() as connection:
        told = connection.execute(select(audit.c.details).where(audit.c.subject == again.agent_id))
        assert told.scalar() == f"web-1, replaces {first.agent_id}"
    assert world.endpoints.find(first.agent_id).state == "enrolled"


def test_a_revocation_keeps_its_time_and_reason(database):
    world = World(database)
    agent_id = world.enroll().agent_id
    first = world.endpoints.revoke(agent_id, "stolen")
    assert (first.state, first.revoked_reason) == ("revoked", "stolen")
    again = world.endpoints.revoke(agent_id)
    assert (again.revoked_us, again.revoked_reason) == (first.revoked_us, "stolen")
    assert world.endpoints.revoke(agent_id, "sold").revoked_reason == "sold"


def test_the_end_of_the_certificate_is_kept(database):
    days = (World(database).enroll().not_after_us - now_us()) / 86_400e6
    assert days == pytest.approx(365, abs=1)
