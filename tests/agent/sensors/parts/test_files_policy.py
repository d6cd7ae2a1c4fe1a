"""That the programs follow it is tested with them, in test_files.py and test_files_counts.py."""

from __future__ import annotations

from deodar.agent.sensors.parts.files_policy import key_folders, raw_majors

DEVICES = """Character devices:
  1 mem
 21 sg
240 nvme-generic

Block devices:
  8 sd
 21 sg
"""
ACCOUNTS = """root:x:0:0:root:/root:/bin/bash
ann:x:1000:1000:Ann,,,:/home/ann/:/bin/sh
odd line
nobody:x:65534:65534:nobody:nowhere:/usr/sbin/nologin
"""


def test_numbers_of_drivers_are_those_of_character_devices():
    assert raw_majors(DEVICES) == {21, 240}
    assert raw_majors("") == set()


def test_where_accounts_have_their_keys():
    assert key_folders(ACCOUNTS) == ["/home/ann/.ssh", "/root/.ssh"]
