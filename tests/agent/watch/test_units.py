from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.watch.units import UnitScan, accounts_with_homes, managers

if TYPE_CHECKING:
    from tests.agent.watch.conftest import Host

    from deodar.agent.watch.files import Files

TEXT = "[Service]\nExecStart=/bin/x\n"


def test_root_and_people_have_units_of_their_own(host: Host, files: Files) -> None:
    passwd = "root:x:0:0::/root:\ndaemon:x:1:1::/usr:\nanna:x:1000:1::/home/anna:\nb:x:1001:1:::\n"
    host.write("etc/passwd", passwd)
    assert accounts_with_homes(files) == [("root", "/root"), ("anna", "/home/anna")]
    assert [m.user for m in managers([("anna", "/home/anna")])] == ["", "*", "anna"]


def test_the_first_folder_holds(host: Host, files: Files) -> None:
    for folder in ("usr/lib", "run", "etc"):
        host.write(f"{folder}/systemd/system/x.service", TEXT)
        unit = UnitScan(files, []).units["/x.service"]
        assert unit.path == f"/{folder}/systemd/system/x.service"


def test_masks_and_aliases(host: Host, files: Files) -> None:
    folder = host.root / "usr/lib/systemd/system"
    (folder / "null.service").symlink_to("/dev/null")
    (folder / "empty.service").touch()
    (folder / "other.service").symlink_to("one.service")
    found = UnitScan(files, []).units
    assert found["/null.service"].masked
    assert found["/empty.service"].masked
    assert not found["/one.service"].masked
    assert found["/other.service"].alias_of == "one.service"


def test_additions_of_one_name_hide_one_another(host: Host, files: Files) -> None:
    host.write("usr/lib/systemd/system/one.service.d/a.conf", "[Service]\nUser=low\n")
    host.write("etc/systemd/system/one.service.d/a.conf", "[Service]\nUser=high\n")
    host.write("etc/systemd/system/one.service.d/a.txt", "[Service]\nUser=none\n")
    unit = UnitScan(files, []).units["/one.service"]
    assert [*unit.additions] == ["/etc/systemd/system/one.service.d/a.conf"]
    assert unit.settings["Service", "User"] == ("high",)


def test_the_folders_that_were_looked_into_are_known(host: Host, files: Files) -> None:
    host.write("etc/systemd/system/x.target.wants/one.service", TEXT)
    scan = UnitScan(files, [("anna", "/home/anna")])
    assert "/etc/systemd/system/x.target.wants" in scan.folders
    assert "/home/anna/.config/systemd/user" in scan.folders
    assert scan.units["/one.service"].wanted_by == ["x.target"]


def test_lib_is_not_read_twice_where_it_is_a_link(host: Host, files: Files) -> None:
    assert "/lib/systemd/system" in UnitScan(files, []).folders
    (host.root / "lib").symlink_to("usr/lib")
    assert "/lib/systemd/system" not in UnitScan(files, []).folders
