from __future__ import annotations

from deodar.siem.services.roles import Role


def test_an_administrator_may_do_what_a_viewer_may_and_not_the_other_way_round():
    assert Role.ADMINISTRATOR.covers(Role.VIEWER)
    assert Role.VIEWER.covers(Role.VIEWER)
    assert not Role.VIEWER.covers(Role.ADMINISTRATOR)
