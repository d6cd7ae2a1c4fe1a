from __future__ import annotations

import pytest
from tests.siem.services.host.test_home import ID

from deodar.kit.errors import SettingsError
from deodar.siem.services.host.home import open_service
from deodar.siem.services.host.start import pair_if_needed
from deodar.siem.services.wire import Issued, hash_of


@pytest.fixture
def home(tmp_path):
    return open_service(tmp_path / "service", "127.0.0.1:9", ID, 0)


def test_one_that_was_never_paired_needs_token_and_pin(home):
    for pin, token in (("", ""), ("ab" * 32, ""), ("", "token")):
        with pytest.raises(SettingsError, match="service token"):
            pair_if_needed(home, pin, token)


def test_the_same_command_again_does_not_pair_again(home):
    issued = Issued("branch-1", "cert", "authority", "proof")
    home.keep_certificate(issued, b"key", hash_of("token"))
    assert not pair_if_needed(home, "ab" * 32, "token")
    assert not pair_if_needed(home, "", "")
