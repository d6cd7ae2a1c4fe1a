from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.demo.stack import Ports, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stack(tmp_path) -> Iterator[Stack]:
    """Return an empty stack on free ports; what a test starts in it ends with the test."""
    made = Stack(tmp_path, Ports(edr=0, core=0))
    yield made
    made.close()
