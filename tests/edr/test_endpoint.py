from __future__ import annotations

from deodar.edr.endpoint import DEFAULT_GROUP, ENROLLED, SELECT, as_endpoint
from deodar.edr.tables import endpoints

from .fleet_world import World


def test_a_row_becomes_an_endpoint_with_its_tags(database):
    made = World(database).enroll("web-1")
    assert (made.name, made.state, made.group_name, made.tags) == (
        "web-1",
        ENROLLED,
        DEFAULT_GROUP,
        (),
    )
    with database.write() as connection:
        connection.execute(endpoints.update().values(tags=",web,dmz,"))
        assert as_endpoint(connection.execute(SELECT).one()).tags == ("web", "dmz")
