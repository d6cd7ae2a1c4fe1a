from __future__ import annotations

import pytest

from deodar.agent.gather.interpreters import Script, script_of
from deodar.agent.sensors.base import Exec, ProcessKey

FILE, CODE, STDIN = "file", "code", "stdin"


def script(exe: str, *argv: str, filename: str = "") -> Script | None:
    record = Exec(1, ProcessKey(7, 9), ProcessKey(1, 1), [word.encode() for word in argv])
    record.exe, record.filename = exe.encode(), (filename or exe).encode()
    return script_of(record)


@pytest.mark.parametrize(
    ("exe", "line", "kind", "value"),
    [
        ("dash", "sh x.sh a b", FILE, "x.sh"),
        ("dash", "sh -e ./x.sh", FILE, "./x.sh"),
        ("bash", "bash -euxo pipefail x.sh", FILE, "x.sh"),
        ("bash", "bash +o posix --rcfile f --norc x.sh -c", FILE, "x.sh"),
        ("bash", "bash --rcfile=f x.sh", FILE, "x.sh"),
        ("bash", "bash -- -x.sh", FILE, "-x.sh"),
        ("bash", "bash -c id", CODE, "id"),
        ("bash", "bash -lc id name", CODE, "id"),
        ("bash", "bash -c -x id", CODE, "id"),
        ("bash", "bash -ec id", CODE, "id"),
        ("bash", "bash", STDIN, ""),
        ("bash", "bash -i", STDIN, ""),
        ("bash", "-bash", STDIN, ""),
        ("bash", "bash -s x.sh", STDIN, ""),
        ("dash", "sh -", STDIN, ""),
        ("busybox", "sh x.sh", FILE, "x.sh"),
        ("busybox", "busybox sh -c id", CODE, "id"),
        ("zsh", "zsh x", FILE, "x"),
        ("ksh93", "ksh x", FILE, "x"),
        ("python3.11", "python3 x.py", FILE, "x.py"),
        ("python3.11", "python3 -u -W ignore -Xdev x.py -c y", FILE, "x.py"),
        ("python3.11", "python3 -c pass", CODE, "pass"),
        ("python3.11", "python3 -Icpass", CODE, "pass"),
        ("python3.11", "python3 -", STDIN, ""),
        ("python3.11", "python3 -i x.py", FILE, "x.py"),
        ("perl", "perl -w x.pl", FILE, "x.pl"),
        ("perl", "perl -I lib -Mfeature=say x.pl", FILE, "x.pl"),
        ("perl", "perl -lne print", CODE, "print"),
        ("perl", "perl -i.bak -pe s/a/b/ file", CODE, "s/a/b/"),
        ("perl", "perl -eprint", CODE, "print"),
        ("perl5.36.0", "perl", STDIN, ""),
        ("ruby3.1", "ruby -rjson -e puts", CODE, "puts"),
        ("ruby3.1", "ruby -r json x.rb", FILE, "x.rb"),
        ("node", "node --require m x.js", FILE, "x.js"),
        ("node", "node --eval=1 x", CODE, "1"),
        ("node", "node -pe 1", CODE, "1"),
        ("node", "node --inspect x.js", FILE, "x.js"),
        ("php8.2", "php -d a=b -f x.php", FILE, "x.php"),
        ("php8.2", "php -r echo", CODE, "echo"),
        ("lua5.4", "lua -l m x.lua", FILE, "x.lua"),
        ("tclsh8.6", "tclsh -encoding utf-8 x.tcl", FILE, "x.tcl"),
        ("mawk", "awk -F : -f x.awk file", FILE, "x.awk"),
        ("gawk", "gawk --file=x.awk", FILE, "x.awk"),
    ],
)
def test_what_an_interpreter_runs(exe: str, line: str, kind: str, value: str) -> None:
    assert script(f"/usr/bin/{exe}", *line.split()) == (kind, value.encode())


@pytest.mark.parametrize(
    ("exe", "line"),
    [
        ("cat", "cat x.sh"),
        ("python3.11", "python3 -m http.server"),
        ("python3.11", "python3 -Im http.server"),
        ("mawk", "awk {print}"),
        ("mawk", "awk"),
        ("bash", "bash -c"),
        ("busybox", "busybox ls x"),
        ("busybox", "busybox"),
    ],
)
def test_what_is_no_script(exe: str, line: str) -> None:
    assert script(f"/usr/bin/{exe}", *line.split()) is None


def test_a_script_with_its_interpreter_in_its_first_line() -> None:
    found = script("/usr/bin/dash", "/bin/sh", "-e", "/x/run", "a", filename="/x/run")
    assert found == (FILE, b"/x/run")
    found = script("/opt/odd", "/opt/odd", "./run", filename="./run")
    assert found == (FILE, b"./run")


def test_of_env_and_the_interpreter_that_it_runs_the_second_counts() -> None:
    argv = ("/usr/bin/env", "python3", "/x/run")
    assert script("/usr/bin/env", *argv, filename="/x/run") is None
    assert script("/usr/bin/python3.11", *argv[1:]) == (FILE, b"/x/run")


def test_a_link_to_an_interpreter_is_no_script() -> None:
    assert script("/usr/bin/dash", "sh", "x.sh", filename="/bin/sh") == (FILE, b"x.sh")
    assert script("/usr/bin/ls", "/bin/dir", "/bin", filename="/bin/dir") is None


def test_arguments_that_are_no_text_are_kept() -> None:
    record = Exec(1, ProcessKey(7, 9), ProcessKey(1, 1), [b"sh", b"-c", b"echo \xff"])
    record.exe = b"/bin/sh"
    assert script_of(record) == (CODE, b"echo \xff")


def test_without_arguments_nothing_breaks() -> None:
    record = Exec(1, ProcessKey(7, 9), ProcessKey(1, 1), [])
    assert script_of(record) is None
    record.exe = b"/bin/busybox"
    assert script_of(record) is None
    record.exe = b"/bin/sh"
    assert script_of(record) == (STDIN, b"")
