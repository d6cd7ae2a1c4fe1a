from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from deodar.agent.watch import folder_watches as module
from deodar.agent.watch.folder_watches import FolderWatches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agent.watch.conftest import Host

    from deodar.agent.watch.files import Files


@pytest.fixture
def watches(files: Files) -> Iterator[FolderWatches]:
    one = FolderWatches(files)
    yield one
    one.close()


def test_only_names_that_matter_count(host: Host, watches: FolderWatches) -> None:
    watches.follow([("a", "/etc", frozenset({"passwd"})), ("b", "/etc/cron.d", None)])
    host.write("etc/other", "x")
    assert watches.touched() == set()
    host.write("etc/passwd", "x")
    assert watches.touched() == {"a"}
    host.write("etc/cron.d/any", "x")
    assert watches.touched() == {"b"}
    assert watches.interested("/etc/passwd") == {"a"}
    assert watches.interested("/etc/other") == watches.interested("/tmp/passwd") == set()


def test_a_folder_that_is_not_there_is_waited_for(host: Host, watches: FolderWatches) -> None:
    wanted = [("a", "/srv/one/two", None)]
    watches.follow(wanted)
    (host.root / "srv/one").mkdir(parents=True)
    assert watches.touched() == {"a"}
    watches.follow(wanted)
    (host.root / "srv/one/two").mkdir()
    assert watches.touched() == {"a"}
    watches.follow(wanted)
    host.write("srv/one/two/file", "x")
    assert watches.touched() == {"a"}


def test_a_folder_that_vanishes_is_told(host: Host, watches: FolderWatches) -> None:
    watches.follow([("a", "/etc/cron.d", None)])
    shutil.rmtree(host.root / "etc/cron.d")
    assert watches.touched() == {"a"}


def test_what_is_wanted_no_more_is_forgotten(host: Host, watches: FolderWatches) -> None:
    watches.follow([("a", "/etc/cron.d", None)])
    watches.follow([("a", "/etc/init.d", None)])
    watches.touched()
    host.write("etc/cron.d/any", "x")
    assert watches.touched() == set()


def test_the_limit_is_told_of(watches: FolderWatches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WATCHES", 1)
    watches.follow([("a", "/etc", None), ("a", "/etc/cron.d", None)])
    assert watches.problem == "/etc/cron.d is not watched: there are more than 1"
