from __future__ import annotations

import contextlib

from deodar.edr.alerts import Alerts, NewAlert

from .commands import run, told


def test_alerts_are_listed_the_newest_first(installation):
    folder = str(installation.directory.path)
    assert "There is no alert" in run("alerts", "list", "--dir", folder)
    with contextlib.closing(installation.database()) as database:
        for technology in ("yara", "ids"):
            Alerts(database).add(
                NewAlert(
                    event_us=1,
                    importance="high",
                    source="external",
                    technology=technology,  # type: ignore[arg-type]
                    object_type="file",
                    object={"fileName": "a.bin"},
                    detection={"rules": ["r"]},
                    details={},
                )
            )
    assert [one["number"] for one in told("alerts", "list", "--dir", folder)] == [2, 1]
    only = told("alerts", "list", "--technology", "yara", "--dir", folder)
    assert [one["technology"] for one in only] == ["yara"]
    assert told("alerts", "list", "--before", 2, "--limit", 1, "--dir", folder)[0]["number"] == 1
    assert "a.bin" in run("alerts", "list", "--dir", folder)
