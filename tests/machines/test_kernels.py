"""Both ways in which Debian's kernel packages lay out their files are understood."""

from __future__ import annotations

import pytest
from tests.machines.kernels import Kernel

RELEASE = "7.3.4+deb13-amd64"


def _unpacked(folder, image, modules):
    for path in (folder / image, folder / modules / "modules.builtin"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Kernel(folder)


@pytest.mark.parametrize(
    ("image", "modules"),
    [
        (f"boot/vmlinuz-{RELEASE}", f"lib/modules/{RELEASE}"),
        (f"usr/lib/modules/{RELEASE}/vmlinuz", f"usr/lib/modules/{RELEASE}"),
    ],
)
def test_image_and_modules_are_found(tmp_path, image, modules):
    kernel = _unpacked(tmp_path, image, modules)
    assert kernel.image == tmp_path / image
    assert kernel.modules == tmp_path / modules
    assert kernel.release == RELEASE
