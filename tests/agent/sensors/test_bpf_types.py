from __future__ import annotations

import pytest

from deodar.agent.sensors.bpf_types import ATTACHMENTS, LINKS, MAPS, PROGRAMS, type_name


@pytest.mark.parametrize(
    ("types", "number", "name"),
    [
        (PROGRAMS, 2, "kprobe"),
        (PROGRAMS, 29, "lsm"),
        (PROGRAMS, 31, "syscall"),
        (MAPS, 1, "hash"),
        (MAPS, 19, "cgroup_storage"),
        (MAPS, 27, "ringbuf"),
        (LINKS, 8, "kprobe_multi"),
        (ATTACHMENTS, 0, "cgroup_inet_ingress"),
        (ATTACHMENTS, 37, "xdp"),
        (ATTACHMENTS, 56, "trace_kprobe_session"),
    ],
)
def test_types_have_their_numbers_of_the_kernels_header(types, number, name) -> None:
    assert types[number] == name


def test_a_type_that_is_newer_is_shown_by_its_number() -> None:
    assert type_name(PROGRAMS, 4711) == "4711"
    assert type_name(PROGRAMS, 6) == "xdp"
