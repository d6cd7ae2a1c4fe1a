from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.edr import tokens
from deodar.edr.errors import TokenError

KEY = b"k" * 32
U64 = st.integers(min_value=0, max_value=2**64 - 1)
SIXTEEN = st.binary(min_size=16, max_size=16)
TOKENS = st.builds(tokens.Token, epoch=SIXTEEN, filter=SIXTEEN, seq=U64, issued_us=U64)


@given(st.text(max_size=40), TOKENS)
def test_a_sealed_token_is_read_back_and_is_plain_text(system, token):
    text = tokens.seal(KEY, system, token)
    assert tokens.unseal(KEY, system, text) == token
    assert len(text) == tokens.TOKEN_LENGTH
    assert text.replace("-", "").replace("_", "").isalnum()
    assert text.isascii()


@given(
    TOKENS, st.integers(min_value=0, max_value=tokens.TOKEN_LENGTH - 1), st.sampled_from("Az0-_")
)
def test_a_changed_character_is_found(token, place, other):
    text = tokens.seal(KEY, "s", token)
    changed = text[:place] + other + text[place + 1 :]
    if changed == text:
        return
    with pytest.raises(TokenError):
        tokens.unseal(KEY, "s", changed)


@given(st.text(max_size=200))
def test_any_other_text_is_not_found(text):
    with pytest.raises(TokenError) as caught:
        tokens.unseal(KEY, "s", text)
    assert str(caught.value) == "Continuation token not found"
    assert caught.value.reason


@given(st.text(alphabet="Az0-_=+/", min_size=tokens.TOKEN_LENGTH, max_size=tokens.TOKEN_LENGTH))
def test_any_text_of_the_right_length_is_not_found(text):
    with pytest.raises(TokenError):
        tokens.unseal(KEY, "s", text)


def test_the_reason_says_whose_fault_it_is():
    text = tokens.seal(KEY, "one", tokens.Token(bytes(16), bytes(16), 1, 2))
    for key, system, words in ((b"x" * 32, "one", "signature"), (KEY, "two", "another external")):
        with pytest.raises(TokenError) as caught:
            tokens.unseal(key, system, text)
        assert words in caught.value.reason


def test_with_the_logs_epoch_a_change_and_another_server_are_told_apart():
    text = tokens.seal(KEY, "s", tokens.Token(b"e" * 16, bytes(16), 1, 2))
    end = "A" if text[-2] != "A" else "B"
    changed = text[:-2] + end + text[-1]
    for sent, key, epoch, words in (
        (changed, KEY, b"e" * 16, "it was changed"),
        (text, b"x" * 32, b"o" * 16, "it was issued by another server"),
    ):
        with pytest.raises(TokenError) as caught:
            tokens.unseal(key, "s", sent, epoch.__eq__)
        assert caught.value.reason.endswith(words)


def test_only_no_filter_has_the_digest_of_no_filter():
    assert tokens.filter_digest("") == tokens.NO_FILTER
    assert tokens.filter_digest("a") != tokens.NO_FILTER
    assert tokens.filter_digest("a") != tokens.filter_digest("b")
