"""What is tried on which kernels; the one place to change it."""

from __future__ import annotations

from tests.machines.kernels import Stock

KERNELS = {
    stock.suite: stock
    for stock in map(Stock, ("bullseye", "bookworm", "bookworm-backports", "trixie",
                             "trixie-backports"))
}  # fmt: skip
"""By the suite of Debian that each comes from, oldest first."""
TESTS = ("tests/agent/sensors", "tests/agent/watch")
"""Folders and files of tests; a new sensor joins by having its tests in one of them."""
MARK = "root"
"""Only tests with this mark: the others do not look at the kernel, and emulated they take long."""
DISTRIBUTIONS = ("deodar[agent]", "pytest", "pytest-asyncio", "pytest-timeout", "hypothesis")
"""What these tests import; with all that they depend on, it is copied from this environment."""
MODULES = ("crypto", "drivers/block", "drivers/net/*.ko*", "drivers/virtio", "fs", "lib", "net")
"""Kernel modules that are there to be loaded; those for real hardware are left out."""
BOOT = ("lsm=landlock,lockdown,yama,bpf",)
"""Added to the kernel's command line: on Debian the BPF LSM is built in, but not active."""
KERNEL_SECONDS = 890.0
"""Longest time for one kernel, from its boot to its end."""
TESTS_SECONDS = 740.0
"""Longest time for all tests inside; the boot before takes a minute, two on a busy host."""
TEST_SECONDS = 180.0
"""Longest time for one test inside."""
PATIENCE = 6.0
"""How much longer than elsewhere tests wait for records: an emulated processor is slow."""
MOST_TEXT = 3000
"""Characters of a failure that are kept, from its end."""
