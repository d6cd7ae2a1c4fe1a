from __future__ import annotations

from deodar.edr import tables_response
from deodar.edr.tables import metadata


def test_the_tables_belong_to_the_metadata_that_the_migrations_are_held_to():
    names = {"tasks", "desired_states", "alerts", "scans", "yara_rules", "reputation"}
    assert names <= set(metadata.tables)
    assert tables_response.tasks is metadata.tables["tasks"]
