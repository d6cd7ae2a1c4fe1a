from __future__ import annotations

import pytest

from deodar.tasks.addresses import address_problem


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "::1",
        "2001:db8::7",
        "fe80::1%eth0",
        "edr",
        "edr.example.org",
        "a_b.c",
        "x.",
        "1a.b",
    ],
)
def test_an_address_has_no_problem(text: str) -> None:
    assert address_problem(text) == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is expected"),
        ("[::1]", "without brackets"),
        ("10.0.0.1:443", "the port is a setting of its own"),
        ("host:443", "the port is a setting of its own"),
        ("1:2:3", "no IPv6 address"),
        ("10.0.0.256", "no IPv4 address"),
        ("10.0.0", "no IPv4 address"),
        ("https://edr", "no IPv6 address"),
        ("a b", "no host has such a name"),
        ("-a.b", "no host has such a name"),
        ("a..b", "no host has such a name"),
        ("é.org", "no host has such a name"),
        ("a" * 64, "no host has such a name"),
        (".".join(["a" * 50] * 6), "no host has such a name"),
    ],
)
def test_what_is_no_address_is_told(text: str, problem: str) -> None:
    assert problem in address_problem(text)
