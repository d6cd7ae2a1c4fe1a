from __future__ import annotations

import hashlib
import subprocess

import pytest
from tests.packaging.conftest import build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HOME = "/usr/lib/deodar-agent/"
OUTSIDE = {
    "/usr/bin/deodar",
    "/lib/systemd/system/deodar-agent.service",
    "/usr/lib/sysusers.d/deodar-agent.conf",
    "/usr/lib/tmpfiles.d/deodar-agent.conf",
    "/usr/share/lintian/overrides/deodar-agent",
    "/usr/share/man/man1/deodar.1.gz",
    "/usr/share/doc/deodar-agent/README.Debian",
    "/usr/share/doc/deodar-agent/changelog.gz",
    "/usr/share/doc/deodar-agent/changelog.Debian.gz",
    "/usr/share/doc/deodar-agent/copyright",
}


def _listed(package) -> list[list[str]]:
    command = ["dpkg-deb", "--contents", str(package)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split(maxsplit=5) for line in text.splitlines()]


def _files(package) -> set[str]:
    return {row[5].split(" -> ")[0][1:] for row in _listed(package) if row[0][0] != "d"}


def test_the_same_tree_gives_the_same_bytes(package, tmp_path):
    again = build(tmp_path)
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (package, again)}
    assert len(digests) == 1


def test_files_are_where_an_administrator_looks_for_them(package):
    files = _files(package)
    assert {path for path in files if not path.startswith(HOME)} == OUTSIDE
    assert not [path for path in files if path.startswith("/etc")]


def test_everything_belongs_to_root_and_nobody_else_can_write_it(package):
    rows = _listed(package)
    assert {row[1] for row in rows} == {"root/root"}
    assert not [row for row in rows if row[0][0] != "l" and "w" in row[0][4:]]
    programs = {row[5][1:] for row in rows if row[0][0] == "-" and "x" in row[0]}
    assert programs == {"/usr/bin/deodar"}


def test_every_module_has_its_bytecode(package):
    site = f"{HOME}lib/python3.11/site-packages/"
    files = _files(package)
    modules = {path for path in files if path.startswith(site) and path.endswith(".py")}
    assert f"{site}deodar/agent/run.py" in modules
    folders = (path.rpartition("/") for path in modules)
    wanted = {f"{folder}/__pycache__/{name[:-3]}.cpython-311.pyc" for folder, _, name in folders}
    assert not wanted - files


def test_neither_server_nor_siem_nor_compilers_files_are_in_it(package):
    unwanted = ("/deodar/edr/", "/deodar/siem/", "/deodar/demo/", "/chdb", "/pyarrow", "/pip/")
    files = _files(package)
    assert not [path for path in files if any(word in path for word in unwanted)]
    assert not [path for path in files if path.endswith((".c", ".h", ".pyi"))]


def test_a_library_that_does_not_fit_its_hash_is_refused(tmp_path):
    from tests.packaging.conftest import ROOT

    source = tmp_path / "tree"
    source.mkdir()
    for name in ("src", "CHANGELOG.md", "pyproject.toml"):
        (source / name).symlink_to(ROOT / name)
    text = (ROOT / "requirements-agent.lock").read_text("utf-8")
    spoilt = "\n".join(
        line[:-6] + "0000 \\" if "--hash" in line and line.endswith("\\") else
        line[:-4] + "0000" if "--hash" in line else line
        for line in text.splitlines()
    )  # fmt: skip
    (source / "requirements-agent.lock").write_text(spoilt, "utf-8")
    with pytest.raises(AssertionError, match="DO NOT MATCH THE HASHES"):
        build(tmp_path / "out", "--source", str(source))
