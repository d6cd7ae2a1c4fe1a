"""What the agent and its hash process say to one another, over one socket for each lane.

A request carries the open file as a descriptor (SCM_RIGHTS); the process opens nothing by name.
Each request has one answer on the same socket. The sockets are SOCK_SEQPACKET: a message is whole
or absent.

This and the other modules of the process import as little as can be: dataclasses or typing would
cost each host a megabyte.
"""

from __future__ import annotations

import struct

DIGEST, FUZZY = 0, 1
"""The lanes: what is quick, and what may take seconds."""
LANES = (DIGEST, FUZZY)
FIRST_DESCRIPTOR = 3
"""Where the process finds the socket of the first lane; the others follow."""

HELLO = b"ready"
"""What the process says first, on the lane DIGEST, when it has given up its rights."""

DONE, CHANGED, UNREADABLE, TOO_COSTLY = 0, 1, 2, 3
"""Outcomes: the file was written to while it was read; an error; it took more time than allowed."""

REQUEST = struct.Struct("<QQqq")
"""Inode, size in bytes, mtime and ctime in ns, as they must be at the end still."""
ANSWER = struct.Struct("<BQ")
"""Outcome; processor time in ns that the process has taken since its start. The result follows."""
DIGESTS = struct.Struct("<i16s32s")
"""Entropy in thousandths of a bit per byte, MD5, SHA-256. The fuzzy hash is text."""
LARGEST = 512
"""Bytes of a message at the most."""
