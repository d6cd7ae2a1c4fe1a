from __future__ import annotations

from deodar.edr.users.identity import Identity
from deodar.edr.users.roles import Role


def test_it_tells_how_somebody_showed_who_they_are():
    by_token = Identity("operator", Role.AUDITOR, token="1")
    assert (by_token.token, by_token.session) == ("1", "")
