"""Recipes of the types by which a Linux agent tells more than processes, files and connections.

Each is made as in `deodar.events.recipes`, which lists them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deodar.events import samples

if TYPE_CHECKING:
    from deodar.events.recipes import Bench

Fields = dict[str, Any]
_RESOLVER = {"RemoteIp": "192.0.2.53", "RemotePort": 53, "Protocol": 17, "Direction": 1}


def module(bench: Bench) -> Fields:
    """A process maps a library."""
    library = bench.rng.choice(samples.LIBRARIES)
    fields = bench.tell(bench.tree.any()) | library.fields("Dll")
    fields |= {
        "DllFileAttributes": library.mode,
        "DllDevice": "254:1",
        "DllInode": library.number % 1_000_000 + 12,
    }
    if bench.complete:
        described = {"DllFileDescription": "Sample library", "DllDeleted": 0}
        fields |= described | {"SimilarDllPath": "/usr/local/lib/libsample.so"}
    return fields


def driver(bench: Bench) -> Fields:
    """A kernel module is loaded; the file of the event is the module's."""
    loader = bench.tree.any()
    image = dict(bench.rng.choice(samples.DRIVERS).as_image)
    fields = bench.tell(loader) | image | {"DriverName": "sample", "DriverOperation": "load"}
    fields["LoaderFileFullName"] = loader.program.file.path
    fields |= {"DriverTaints": 4096, "DriverFromMemory": 0}
    return fields


def filechange_repeats(bench: Bench) -> Fields:
    """A process unpacks an archive, or removes a tree."""
    document = bench.rng.choice(samples.DOCUMENTS)
    return bench.tell(bench.tree.any()) | {
        "FilesCreated": bench.rng.randrange(1, 5000),
        "FilesModified": bench.rng.randrange(1, 5000),
        "FilesRenamed": 0,
        "FilesAttributes": 12,
        "FilesDeleted": 3,
        "RepeatsFirstTime": bench.now - 1_000_000,
        "RepeatsLastTime": bench.now,
        "DroppedName": document.name,
        "DroppedPath": document.folder,
    }


def rawsocket(bench: Bench) -> Fields:
    """A process sniffs packets."""
    return bench.tell(bench.tree.any()) | {
        "SocketFamily": "AF_PACKET",
        "SocketType": "SOCK_RAW",
        "Protocol": 3,
    }


def dns(bench: Bench) -> Fields:
    """A process asks for a name."""
    name = bench.rng.choice([name for _, name in samples.REMOTES if name] or ["www.example.com"])
    return bench.tell(bench.tree.any()) | _RESOLVER | {
        "DnsQuery": name,
        "DnsType": "A",
        "DnsId": bench.rng.randrange(1, 65536),
        "DnsResponseCode": "NOERROR",
        "DnsAnswers": "A 192.0.2.80",
    }  # fmt: skip


def process_access(bench: Bench) -> Fields:
    """A debugger attaches itself."""
    return _reached(bench, "ptrace_attach", 0)


def process_tampering(bench: Bench) -> Fields:
    """A process writes to another one's memory."""
    return _reached(bench, "process_vm_writev", 4096)


def memoryfile(bench: Bench) -> Fields:
    """A process makes a file that is in memory only."""
    named = {"MemoryFileName": "sample", "MemoryFileFlags": 1, "MemoryFileCount": 1}
    return bench.tell(bench.tree.any()) | named


def bpf(bench: Bench) -> Fields:
    """A process loads a program."""
    return bench.tell(bench.tree.any()) | {
        "BpfCommand": "program_load",
        "BpfType": "kprobe",
        "BpfName": "sample",
        "BpfId": bench.rng.randrange(1, 1000),
        "BpfTarget": "do_sample",
    }


def rawdevice(bench: Bench) -> Fields:
    """A process reads a disk past its file system."""
    return bench.tell(bench.tree.any()) | {
        "DeviceName": "/dev/vda",
        "DeviceMajor": 254,
        "DeviceMinor": 0,
        "DeviceKind": "block",
        "FileOpenFlags": 32768,
    }


def agent_start(bench: Bench) -> Fields:
    """The agent starts after its host went down."""
    unclean = {"AgentUnclean": 1, "AgentLastSeen": bench.now - 60_000_000}
    return {"AgentReason": "start of the service", **unclean}


def agent_stop(bench: Bench) -> Fields:
    """The agent is stopped."""
    return {"AgentReason": bench.rng.choice(("SIGTERM", "end of the replay"))}


def _reached(bench: Bench, way: str, size: int) -> Fields:
    target = bench.tree.any()
    fields = bench.tell(bench.tree.shell()) | {
        "TargetSystemPid": target.pid,
        "TargetUniquePid": target.unique_pid,
        "TargetFileFullName": target.program.file.path,
        "TargetStartupParameters": target.command,
        "TargetProcessUserName": target.user.name,
        "AccessWay": way,
    }
    fields["AccessCalls"] = 1
    return fields | ({"AccessSize": size} if size or bench.complete else {})


ALL = (
    module,
    driver,
    filechange_repeats,
    rawsocket,
    dns,
    process_access,
    process_tampering,
    memoryfile,
    bpf,
    rawdevice,
    agent_start,
    agent_stop,
)
