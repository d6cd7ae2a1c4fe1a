from __future__ import annotations

import pytest

from deodar.agent.sensors.loader import read_blob
from deodar.agent.sensors.parts.files_record import FILE, plain


def test_every_field_is_where_the_c_side_has_it():
    """Set one C field after another to 0xff and see that just this Python field changes."""
    layout = read_blob("files").manifest["records"]["file_record"]
    offsets = dict(layout["fields"])
    assert offsets.pop("payload") == FILE.size
    places = sorted(offset for field, offset in offsets.items() if field != "head")
    blank = FILE.unpack(bytes(FILE.size))
    assert len(places) == len(blank) - 5
    for number, place in enumerate(places, start=5):
        data = bytearray(FILE.size)
        data[place] = 0xFF
        assert [i for i, v in enumerate(FILE.unpack(data)) if v != blank[i]] == [number]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"/a/b", b"/a/b"),
        (b"/a/./b//c/../d", b"/a/b/d"),
        (b"/../..//a/", b"/a"),
        (b"//a", b"/a"),
        (b"/a/.hidden", b"/a/.hidden"),
        (b"/", b"/"),
    ],
)
def test_names_are_made_plain(path, wanted):
    assert plain(path) == wanted
