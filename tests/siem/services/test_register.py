from __future__ import annotations

import asyncio

import pytest
from tests.siem.services.conftest import report

from deodar.kit.errors import SettingsError
from deodar.siem.errors import NotKnown, NotPossible
from deodar.siem.services.audit import latest


def test_a_service_is_made_of_a_set_and_runs_with_its_newest_version(known, service):
    found = known.register.find("branch-1")
    assert found == known.register.find(service.id) == service
    assert (found.wanted_version, found.local, found.paired_us) == (1, False, 0)


def test_a_new_version_is_taken_when_it_is_ordered(known, service):
    text = known.sets.version("branch").settings
    known.sets.save("branch", f"{text}# changed\n")
    assert known.register.find("branch-1").wanted_version == 1
    ordered = known.register.reload("branch-1")
    assert (ordered.wanted_version, ordered.reloads) == (2, 1)


async def test_a_restart_names_the_process_that_shall_end(known, service):
    with pytest.raises(NotPossible, match="never reported"):
        known.register.restart("branch-1")
    orders = known.watch.take(service, report(boot="first"), "192.0.2.7")
    assert not orders.restart
    await known.watch.write()
    ordered = await asyncio.to_thread(known.register.restart, "branch-1")
    assert known.watch.take(ordered, report(boot="first"), "192.0.2.7").restart
    assert not known.watch.take(ordered, report(boot="second"), "192.0.2.7").restart


def test_two_services_do_not_share_one_client_of_an_edr_server(known, service):
    with pytest.raises(NotPossible, match="another external_id"):
        known.register.add("branch-2", "branch", "t")


@pytest.mark.parametrize(
    ("name", "set_name", "error"),
    [
        ("branch-1", "branch", NotPossible),
        ("x", "absent", NotKnown),
        ("/", "branch", SettingsError),
    ],
)
def test_what_cannot_be_made_is_told(known, service, name, set_name, error):
    with pytest.raises(error):
        known.register.add(name, set_name, "t")


def test_one_is_disabled_debugged_and_deleted_and_all_of_it_is_told(known, service):
    assert known.register.disable("branch-1", disabled=True).disabled_us
    assert not known.register.disable("branch-1", disabled=False).disabled_us
    assert known.register.debug("branch-1", on=True).debug
    known.register.delete("branch-1")
    with pytest.raises(NotKnown, match="service list"):
        known.register.find("branch-1")
    actions = [row.action for row in reversed(latest(known.database))]
    assert actions[-5:] == [
        "service created",
        "service disabled",
        "service enabled",
        "service debug on",
        "service deleted",
    ]


def test_the_cores_own_storage_stays(known):
    made = known.register.adopt("00000000-0000-5000-8000-000000000001", "storage", "storage", "t")
    assert known.register.adopt(made.id, "storage", "storage", "t") == made
    with pytest.raises(NotPossible, match="stays"):
        known.register.delete("storage")
