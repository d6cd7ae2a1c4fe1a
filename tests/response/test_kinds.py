from __future__ import annotations

import pytest

from deodar.response import kinds
from deodar.response.errors import OrderProblem


def test_every_kind_is_declared_with_its_rights_and_how_to_undo_it():
    assert set(kinds.KINDS) == {
        "run_process",
        "get_file",
        "delete_file",
        "kill_process",
        "quarantine_file",
    }
    for name, kind in kinds.KINDS.items():
        assert kind.name == name
        assert kind.title
        assert kind.undo
    assert kinds.find("get_file").role == "security_officer"


def test_parameters_are_checked_and_get_their_defaults():
    checked = kinds.check("run_process", {"command": "/bin/ls", "arguments": "-l 'two words'"})
    assert isinstance(checked, kinds.RunProcess)
    assert checked.words() == ["-l", "two words"]
    assert (checked.time_limit, checked.output_limit) == (300, 65_536)


@pytest.mark.parametrize(
    ("name", "parameters", "told"),
    [
        ("format_disk", {}, "no task is named 'format_disk'; there are: run_process"),
        ("run_process", {}, "command"),
        ("run_process", {"command": ""}, r"\$.command"),
        ("run_process", {"command": "a\0b"}, r"\$.command"),
        ("run_process", {"command": "ls", "arguments": "'open"}, "arguments: No closing quotation"),
        ("run_process", {"command": "ls", "working_directory": "x"}, r"\$.working_directory"),
        ("run_process", {"command": "ls", "time_limit": 0}, r"\$.time_limit"),
        ("run_process", {"command": "ls", "shell": True}, "shell"),
        ("get_file", {"path": "etc/passwd"}, r"\$.path"),
        ("get_file", {"path": "/a", "maximum_bytes": 1 << 40}, r"\$.maximum_bytes"),
        ("delete_file", {"path": "/a", "sha256": "x"}, r"\$.sha256"),
        ("kill_process", {"pid": 1}, r"\$.pid"),
        ("get_file", ["/a"], "get_file"),
    ],
)
def test_wrong_parameters_are_named(name, parameters, told):
    with pytest.raises(OrderProblem, match=told):
        kinds.check(name, parameters)
