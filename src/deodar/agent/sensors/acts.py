"""Records of what processes do beside starting, ending and connecting.

All are acts: they carry their time and the process that did it. What a sensor cannot know stays at
the field's default. Texts from the kernel and from processes stay bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

from deodar.agent.sensors.base import Act, Direction, ProcessKey

if TYPE_CHECKING:
    from deodar.agent.hashing.facts import FileFacts
    from deodar.agent.sensors.base import FileIdentity


class FileOperation(IntEnum):
    """What was done to a file; the numbers are those of the field FileOperationType."""

    CREATE = 1
    MODIFY = 2
    RENAME = 3
    ATTRIBUTES = 4
    DELETE = 5


@dataclass(slots=True)
class RunningProcess(Act):
    """A process, the record's own, ran already when the agent started."""


@dataclass(slots=True)
class FileChange(Act):
    """A file was created, written to, renamed, deleted, or got other attributes."""

    operation: FileOperation
    path: bytes
    """Absolute, as the process sees it; after a rename the new one."""
    previous: bytes = b""
    """Absolute path before a rename."""
    identity: FileIdentity | None = None
    """None when the file is gone, or the sensor cannot tell."""
    mode: int = 0
    """st_mode; 0 when not known."""
    flags: int = 0
    """Flags of open(2) for a file that was opened."""
    exact: bool = True
    """Whether the path comes from the kernel; False when it is what the process passed."""
    closes: bool = False
    """Whether the file is open for writing, so that a `FileClosed` may follow."""
    facts: FileFacts | None = None
    """Added on the way to the event."""


@dataclass(slots=True)
class FileClosed(Act):
    """A process closed a file that it had written to; no event of its own, but a hint."""

    identity: FileIdentity
    """Without times and size when the kernel had forgotten the file at once."""


@dataclass(slots=True)
class FileRepeats(Act):
    """More file changes of one process than are told one by one: how many, since when."""

    first_ns: int
    counts: dict[FileOperation, int]
    path: bytes = b""
    """One of the files, as an example."""


@dataclass(slots=True)
class LibraryLoad(Act):
    """A process mapped a file as code."""

    path: bytes
    identity: FileIdentity | None = None
    mode: int = 0
    deleted: bool = False
    """The file has no name in any folder."""
    facts: FileFacts | None = None
    """Added on the way to the event."""


@dataclass(slots=True)
class DeviceOpen(Act):
    """A process opened a raw device, such as a disk or the memory of the host."""

    path: bytes
    block: bool
    """Whether it is a block device; else a character device."""
    major: int
    minor: int
    flags: int = 0
    """Flags of open(2)."""


@dataclass(slots=True)
class ProcessAccess(Act):
    """A process reached into another one to look at it."""

    target: ProcessKey
    """`start` is 0 when it is not known."""
    way: str
    """How: "ptrace_attach", "process_vm_readv", "proc_mem_read", "pidfd_getfd", ..."""
    size: int = 0
    """Bytes that were asked for; 0 when it does not apply."""
    calls: int = 1
    """How many of the same kind this one stands for."""


@dataclass(slots=True)
class ProcessTampering(ProcessAccess):
    """A process changed another one's memory or registers."""


@dataclass(slots=True)
class MemoryFile(Act):
    """A process made a file that is in memory only (memfd_create)."""

    name: bytes
    flags: int = 0
    """Flags of memfd_create(2)."""
    ino: int = 0
    files: int = 1
    """How many of the same name this one stands for."""


@dataclass(slots=True)
class KernelModule(Act):
    """A module was loaded into the kernel or taken out of it."""

    name: bytes
    operation: Literal["load", "unload"]
    path: bytes = b""
    """Absolute path of its file; empty when it is not known."""
    identity: FileIdentity | None = None
    from_memory: bool = False
    """The loader gave its content from memory; the file is one that it had open meanwhile."""
    taints: int = 0
    """What it does to the kernel's good name, in the bits of /proc/sys/kernel/tainted."""


@dataclass(slots=True)
class ModuleSeen(Act):
    """The kernel took in a module or gave one up: the name that belongs to a KernelModule.

    One that fails to start is taken in, and given up.
    """

    name: bytes
    operation: Literal["load", "unload"]
    taints: int = 0


@dataclass(slots=True)
class BpfUse(Act):
    """A process brought something of eBPF into the kernel."""

    command: str
    """"program_load", "map_create", "attach"."""
    kind: int
    """Number of the program's or map's type; of an attachment, that of its type."""
    name: bytes = b""
    id: int = 0
    """The kernel's number of the program or map; 0 when not known."""
    type: str = ""
    """`kind` as text, such as "kprobe", "hash"; its number when it is newer than the agent."""
    target: bytes = b""
    """The kernel's function or tracepoint that the program is made for, where it names one."""


@dataclass(slots=True)
class RawSocket(Act):
    """A process opened a socket on which it makes, or sees, packets by itself."""

    family: int
    type: int
    """SOCK_RAW or SOCK_PACKET, without flags."""
    protocol: int


@dataclass(slots=True)
class DnsMessage(Act):
    """One message of DNS that a process sent or received."""

    direction: Direction
    """"outbound" for a sent one."""
    protocol: int
    """IP protocol number, UDP or TCP."""
    server_ip: str
    server_port: int
    payload: bytes
    """The message, maybe cut at its end."""


@dataclass(slots=True)
class DnsQuery(Act):
    """A process asked for a name, and was answered or not."""

    protocol: int
    server_ip: str
    server_port: int
    id: int
    """Number of the message."""
    name: str = ""
    """In lower case, without the dot at its end; empty when the message could not be read."""
    type: str = ""
    """As text, such as "AAAA"."""
    rcode: str = ""
    """As text, such as "NXDOMAIN"; empty when no answer was seen."""
    answers: tuple[str, ...] = ()
    """Each as type and value."""


InputSource = Literal["tty", "pipe", "socket"]


@dataclass(slots=True)
class ConsoleInput(Act):
    """A process read from a terminal, or a shell from a pipe or a socket."""

    source: InputSource
    name: str
    """Of the terminal, as in /dev, such as "pts/0"; "" for a pipe or a socket."""
    data: bytes
    truncated: bool = False
    cooked: bool = False
    """The terminal edits lines by itself, so that what is read is what was meant."""
    end: bool = False
    """The end of a pipe."""
    untold: int = 0
    """Bytes that were read since the record before and are only counted."""


@dataclass(slots=True)
class ConsoleLine(Act):
    """One line that was typed at a terminal, or all that came through a pipe at once."""

    source: InputSource
    name: str
    text: bytes
    truncated: bool = False
    dropped: int = 0
    """Bytes that came since the line before and are only counted."""


@dataclass(slots=True)
class ScriptRun(Act):
    """An interpreter began to run a script."""

    path: bytes
    """Absolute; empty when the script came through a pipe or on the command line."""
    content: bytes = b""
    """Its beginning."""
    size: int = 0
    """Of the whole script, in bytes."""
    identity: FileIdentity | None = None
    sha256: str = ""
    """Of the content, when that is the whole script."""
    md5: str = ""
    """Of the content, when that is the whole script."""
    born_ns: int | None = None
    """When its file was made; None where the file system does not know, or there is no file."""


@dataclass(slots=True)
class CgroupChange(Act):
    """A control group was made, removed, filled or emptied: how the kernel sees services run."""

    operation: Literal["made", "removed", "populated", "emptied"]
    path: str
    """In the hierarchy, such as "/system.slice/ssh.service"."""
    id: int = 0
    """Inode number of the group's folder; 0 when it is not the kernel that tells."""
