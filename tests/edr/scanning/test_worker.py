from __future__ import annotations

import subprocess
import sys

import pytest

from deodar.edr.scanning.worker import compiled, scanned

RULE = 'rule evil : bad worse { meta: severity = "HIGH" strings: $a = "EVIL" condition: $a }'


def test_rules_find_what_they_are_for():
    rules, reply = compiled({"one": RULE, "two": RULE.replace("HIGH", "odd")})
    assert rules is not None
    assert reply.rules == 2
    found = scanned(rules, b"some EVIL bytes", 5).matches
    assert [(m.set, m.rule, m.tags, m.importance) for m in found] == [
        ("one", "evil", ("bad", "worse"), "high"),
        ("two", "evil", ("bad", "worse"), ""),
    ]
    assert scanned(rules, b"good bytes", 5).matches == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rule a { condition: b }", "unknown identifier"),
        ('include "/etc/passwd" rule a { condition: true }', "include"),
        ("this is no rule", "syntax error"),
    ],
)
def test_rules_that_do_not_compile_are_told_with_the_compilers_words(text, told):
    rules, reply = compiled({"one": text})
    assert rules is None
    assert told in reply.error


def test_a_scan_has_a_time_limit():
    rules, _ = compiled(
        {"slow": "rule a { condition: for all i in (0..100000000000) : (uint8(i % 5) != 256) }"}
    )
    assert rules is not None
    assert scanned(rules, b"12345", 1).timed_out


def test_the_process_gives_up_what_it_does_not_need():
    code = (
        "import os, resource\n"
        "from deodar.edr.scanning.worker import confine, MEMORY\n"
        "confine()\n"
        "assert resource.getrlimit(resource.RLIMIT_AS)[0] == MEMORY\n"
        "assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == 0\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0\n"
        "status = open('/proc/self/status').read()\n"
        "assert 'NoNewPrivs:\\t1' in status\n"
        "print(os.geteuid())\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() != "0"
