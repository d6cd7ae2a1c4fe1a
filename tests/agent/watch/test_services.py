"""Services, defined and changed in all places that systemd and init look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.agent.conftest import wait_for

from deodar.agent.watch.services import ServiceSurvey

if TYPE_CHECKING:
    from tests.agent.watch.conftest import Host

    from deodar.agent.watch.files import Files

TEXT = "[Service]\nExecStart=/usr/bin/new --daemon\n"


@pytest.mark.parametrize(
    "folder",
    [
        "etc/systemd/system",
        "run/systemd/system",
        "run/systemd/transient",
        "run/systemd/generator",
        "usr/lib/systemd/system",
        "usr/local/lib/systemd/system",
        "etc/systemd/user",
        "home/anna/.config/systemd/user",
    ],
)
def test_a_unit_is_made_changed_and_removed(watched: Host, folder: str) -> None:
    path = watched.write(f"{folder}/new.service", TEXT)
    wait_for(lambda: watched.told)
    record = watched.told[0]
    assert (record.name, record.command) == ("new.service", "/usr/bin/new --daemon")
    assert record.path == record.file == f"/{folder}/new.service"
    assert record.user == {"etc/systemd/user": "*", "home/anna/.config/systemd/user": "anna"}.get(
        folder, ""
    )
    watched.expect(("ServiceCreated", "new.service"))
    watched.replace(f"{folder}/new.service", TEXT.replace("--daemon", "--other"))
    change = "command: /usr/bin/new --daemon -> /usr/bin/new --other"
    watched.expect(("ServiceModified", "new.service", change))
    path.unlink()
    watched.expect(("ServiceDeleted", "new.service"))


def test_a_unit_is_switched_on_and_off(watched: Host) -> None:
    folder = watched.root / "etc/systemd/system/multi-user.target.wants"
    folder.mkdir(parents=True)
    link = folder / "one.service"
    link.symlink_to("/usr/lib/systemd/system/one.service")
    wait_for(lambda: watched.told)
    path = "/etc/systemd/system/multi-user.target.wants/one.service"
    assert watched.told[0].file == path
    watched.expect(("ServiceModified", "one.service", "enabled: no -> yes (multi-user.target)"))
    link.unlink()
    watched.expect(("ServiceModified", "one.service", "enabled: yes -> no (multi-user.target)"))


def test_a_unit_is_masked(watched: Host) -> None:
    path = watched.root / "etc/systemd/system/one.service"
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/null")
    moved = "/usr/lib/systemd/system/one.service -> /etc/systemd/system/one.service"
    changes = (f"file: {moved}", "command: /usr/bin/one -> none", "masked: no -> yes")
    watched.expect(("ServiceModified", "one.service", *changes))


def test_a_unit_is_hidden_by_one_of_the_same_name(watched: Host) -> None:
    watched.write("etc/systemd/system/one.service", TEXT)
    moved = "/usr/lib/systemd/system/one.service -> /etc/systemd/system/one.service"
    changes = (f"file: {moved}", "command: /usr/bin/one -> /usr/bin/new --daemon")
    watched.expect(("ServiceModified", "one.service", *changes))


def test_an_addition_changes_a_unit(watched: Host) -> None:
    file = "etc/systemd/system/one.service.d/more.conf"
    watched.write(file, "[Service]\nExecStart=\nExecStart=/tmp/evil\nUser=anna\n")
    changes = ("command: /usr/bin/one -> /tmp/evil", "user: none -> anna")
    watched.expect(("ServiceModified", "one.service", *changes, f"drop-in added: /{file}"))
    watched.edit(file, "User=anna", "User=anna\nNice=5")
    watched.expect(("ServiceModified", "one.service", "content"))


def test_a_socket_is_a_service_too(watched: Host) -> None:
    watched.write("etc/systemd/system/new.socket", "[Socket]\nListenStream=1234\n")
    wait_for(lambda: watched.told)
    assert watched.told[0].command == "ListenStream=1234"
    watched.expect(("ServiceCreated", "new.socket"))


def test_a_script_of_init(watched: Host) -> None:
    watched.write("etc/init.d/new", "#!/bin/sh\n/usr/bin/new\n", mode=0o755)
    watched.expect(("ServiceCreated", "new"))
    watched.edit("etc/init.d/new", "bin/new", "bin/other")
    watched.expect(("ServiceModified", "new", "content"))
    (watched.root / "etc/rc2.d").mkdir()
    (watched.root / "etc/rc2.d/S01new").symlink_to("../init.d/new")
    watched.expect(("ServiceModified", "new", "enabled: no -> yes (rc2)"))
    (watched.root / "etc/init.d/new").unlink()
    watched.expect(("ServiceDeleted", "new"))


def test_an_instance_that_is_wanted_has_its_template_s_command(watched: Host) -> None:
    watched.write("usr/lib/systemd/system/many@.service", TEXT)
    watched.expect(("ServiceCreated", "many@.service"))
    folder = watched.root / "etc/systemd/system/multi-user.target.wants"
    folder.mkdir(parents=True)
    (folder / "many@x.service").symlink_to("/usr/lib/systemd/system/many@.service")
    wait_for(lambda: watched.told)
    assert watched.told[0].command == "/usr/bin/new --daemon"
    change = "enabled: no -> yes (multi-user.target)"
    watched.expect(("ServiceCreated", "many@x.service", change))


def test_what_changes_no_service_tells_nothing(watched: Host) -> None:
    (watched.root / "usr/lib/systemd/system/one.service").touch()
    watched.edit("usr/lib/systemd/system/one.service", "[Service]", "# text\n\n[Service]")
    watched.write("usr/lib/systemd/system/two.service.dpkg-new", TEXT)
    watched.write("usr/lib/systemd/system/x.target", "[Unit]\n")
    watched.write("etc/systemd/system/absent.service.d/x.conf", "[Service]\nUser=anna\n")
    watched.expect_nothing()


def test_generated_units_that_are_made_anew_tell_nothing(watched: Host) -> None:
    path = watched.write("run/systemd/generator/made.service", TEXT)
    watched.expect(("ServiceCreated", "made.service"))
    services = watched.watcher._courses["services"]
    path.unlink()
    wait_for(lambda: services.due < float("inf"))
    watched.write("run/systemd/generator/made.service", TEXT)
    watched.expect_nothing()


def test_is_doubtful_when_a_generated_unit_is_gone(host: Host, files: Files) -> None:
    host.write("run/systemd/generator/made.service", TEXT)
    survey = ServiceSurvey()
    items = survey.look(files, {}).items
    assert survey.is_doubtful(items, {})
    assert not survey.is_doubtful({}, items)


def test_is_doubtful_when_a_generated_link_is_gone(host: Host, files: Files) -> None:
    folder = host.root / "run/systemd/generator/x.target.wants"
    folder.mkdir(parents=True)
    (folder / "one.service").symlink_to("/usr/lib/systemd/system/one.service")
    survey = ServiceSurvey()
    before = survey.look(files, {}).items
    (folder / "one.service").unlink()
    after = survey.look(files, {}).items
    assert survey.is_doubtful(before, after)
    assert not survey.is_doubtful(after, before)


def test_a_definition_that_is_too_large_stays_as_it_was(watched: Host) -> None:
    watched.write("usr/lib/systemd/system/one.service", "#" * (2 << 20))
    wait_for(lambda: watched.told)
    assert "is larger than" in watched.told[0].reason
    assert watched.changes == []
