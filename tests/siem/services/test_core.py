from __future__ import annotations

import pytest

from deodar.siem.errors import NotKnown
from deodar.siem.settings import check_collector, load_collector


def test_the_settings_of_a_service_are_those_of_a_collector(known, service, tmp_path):
    given = known.settings_of(service.id)
    (tmp_path / "collector.toml").write_text(given.settings)
    settings = load_collector(tmp_path / "collector.toml")
    assert check_collector(settings, where="x") == settings
    assert (settings.name, settings.service_id) == ("branch-1", service.id)
    assert settings.set_version == given.version == 1
    assert settings.connector.secret == "versions/1/secret.pem"
    assert settings.core.url == "https://127.0.0.1:7210"


def test_a_service_runs_with_the_version_that_was_ordered(known, service):
    text = known.sets.version("branch").settings
    known.sets.save("branch", f"{text}# changed\n")
    assert known.settings_of(service.id).version == 1
    known.register.reload("branch-1")
    assert known.settings_of(service.id).version == 2


def test_one_without_a_set_has_no_settings_here(known):
    id_ = "00000000-0000-4000-8000-000000000003"
    known.register.adopt(id_, "own", "collector", "t")
    with pytest.raises(NotKnown, match="keeps its settings itself"):
        known.settings_of(id_)
