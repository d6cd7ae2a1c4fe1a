from __future__ import annotations

import pytest
from tests.siem.services.conftest import paired

from deodar.siem.errors import NotAdmitted
from deodar.tls.certificates import Pair, der, issue_client, make_request, self_signed


async def refused(known, certificate, told):
    with pytest.raises(NotAdmitted, match=told) as caught:
        await known.gate.admit(certificate)
    return caught.value.status


async def test_a_paired_service_is_let_in(known, service):
    given, _key = paired(known, "branch-1")
    assert (await known.gate.admit(der(given.certificate))).name == "branch-1"


async def test_strangers_are_not(known):
    assert await refused(known, None, "certificate of this SIEM's authority is needed") == 403
    stranger = der(self_signed("x").certificate)
    assert await refused(known, stranger, "was not issued by this authority") == 403
    authority = Pair(known.home.read("authority.pem"), known.home.read("authority.key"))
    unnamed = der(issue_client(authority, make_request("x")[0], "collector x"))
    assert await refused(known, unnamed, "of no service here") == 401


async def test_one_whose_certificate_was_reset_or_who_was_deleted_is_told_so(known, service):
    given, _key = paired(known, "branch-1")
    known.pairing.reset("branch-1", new_token=False)
    assert await refused(known, der(given.certificate), "was reset") == 401
    known.register.delete("branch-1")
    assert await refused(known, der(given.certificate), "was deleted") == 410
