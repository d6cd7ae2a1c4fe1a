"""Keeping the agent small: how the C library and Python's collector are told to hold less.

An agent shares the host with the work that the host is for. Numbers from malloc.h of glibc.
"""

from __future__ import annotations

import ctypes
import gc

M_ARENA_MAX = -8
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
ARENAS = 2
LARGE = 256 * 1024

_libc = ctypes.CDLL(None)


def limit_arenas() -> None:
    """Let all threads share two heaps, and give large blocks back at once. Needs glibc."""
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS)
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, LARGE)


def settle() -> None:
    """Throw away what starting left behind; what stays is not looked through again."""
    gc.collect()
    gc.freeze()
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)
