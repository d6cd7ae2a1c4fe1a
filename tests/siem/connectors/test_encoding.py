from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.kit.errors import SettingsError
from deodar.siem.connectors.encoding import known_encoding, to_utf8


@pytest.mark.parametrize("name", ["utf-8", "windows-1251", "KOI8-R", "utf-16", "iso8859_5"])
@given(text=st.text('abc{}"жЯ', max_size=20))
def test_a_text_comes_out_as_utf_8(name, text):
    converted = to_utf8(text.encode(name), known_encoding(name))
    assert converted == (text.encode(), 0)


@pytest.mark.parametrize("name", ["no such", "base64", "hex", "rot13", "a\0b"])
def test_what_is_no_encoding_of_characters_is_refused(name):
    with pytest.raises(SettingsError, match="character encoding"):
        known_encoding(name)


def test_what_cannot_be_converted_is_replaced_and_counted():
    converted = to_utf8(b'{"a":"\x98"}', known_encoding("cp1251"))
    assert converted == ('{"a":"\ufffd"}'.encode(), 1)
    assert to_utf8(b"\xd0", "utf-8").replaced == 1


def test_without_an_encoding_nothing_is_touched():
    assert to_utf8(b"\xff\xfe", known_encoding("")) == (b"\xff\xfe", 0)


@given(st.binary(max_size=60), st.sampled_from(["utf-8", "utf-16", "utf-32", "utf-7", "cp1251"]))
def test_any_bytes_become_utf_8(body, name):
    to_utf8(body, name).body.decode("utf-8")
