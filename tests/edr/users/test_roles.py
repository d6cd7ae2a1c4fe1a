from __future__ import annotations

import pytest

from deodar.edr.users.roles import Role, lower


@pytest.mark.parametrize("one", list(Role))
@pytest.mark.parametrize("other", list(Role))
def test_roles_stand_in_one_order(one, other):
    order = ["auditor", "security_officer", "senior_security_officer", "administrator"]
    higher = order.index(one) >= order.index(other)
    assert one.covers(other) is higher
    assert lower(one, other) == (other if higher else one)
