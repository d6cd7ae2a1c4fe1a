"""A service as a unit of systemd: ``deodar-collector-ID``, with its own user and few rights."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.kit.errors import SettingsError, StateError

if TYPE_CHECKING:
    from deodar.siem.services.host.home import ServiceHome

USER = "deodar-collector"
UNITS = Path("/etc/systemd/system")
_START_SECONDS = 20.0
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - compared, not used
"""Where a unit with these rights cannot see a program."""

_TEXT = """\
[Unit]
Description=Deodar collector {name}
After=network-online.target
Wants=network-online.target
RequiresMountsFor={folder}
# Never give up: the core and the sources come back some day.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={program} siem collector --core {core} --id {id} --api-port {api_port} --folder {folder}
User={user}
Restart=always
RestartSec=5
# Settings that cannot be, and a service that the core no longer knows, need an administrator.
RestartPreventExitStatus=2 4
TimeoutStopSec=60
UMask=0077
LimitNOFILE=65536
LimitCORE=0
MemoryAccounting=yes
MemoryMax=4G
TasksMax=512
CPUAccounting=yes
OOMPolicy=stop

# Ports below 1024, for syslog, are the one right beyond those of a user.
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={folder}
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# Threads of Arrow and of the compression set their priority.
SystemCallFilter=sched_setaffinity sched_setscheduler setpriority
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def unit_name(service_id: str) -> str:
    """Return the name of a service's unit."""
    return f"deodar-collector-{service_id}.service"


def unit_text(home: ServiceHome, program: str) -> str:
    """Return the unit's file; `program` is the path of `deodar`."""
    settings = home.settings
    return _TEXT.format(
        name=settings.name,
        folder=home.folder.path,
        program=program,
        core=settings.core,
        id=settings.id,
        api_port=settings.api_port,
        user=USER,
    )


def check_host() -> None:
    """Raise SettingsError when a unit cannot be installed here, before anything is done."""
    if os.geteuid() != 0:
        raise SettingsError("--install and --uninstall are for root; put sudo before the command")
    if not shutil.which("systemctl") or not Path("/run/systemd/system").is_dir():
        raise SettingsError("systemd does not run here; leave --install out and run it otherwise")
    _program()


def install(home: ServiceHome) -> str:
    """Write the unit of a paired service and start it; returns what to tell.

    Raises SettingsError when this host cannot have it, StateError when it does not start.
    """
    check_host()
    name = unit_name(home.settings.id)
    _make_user()
    _give(home.folder.path)
    path = UNITS / name
    path.write_text(unit_text(home, _program()), "utf-8")
    path.chmod(0o644)
    _systemctl("daemon-reload")
    _systemctl("enable", "--quiet", name)
    _systemctl("restart", name)
    _wait_until_active(name)
    return f"{name} is installed and runs; its log: journalctl -u {name}"


def uninstall(service_id: str, folder: Path, *, purge: bool) -> str:
    """Stop and remove a service's unit; its folder stays unless `purge`; returns what to tell.

    Raises SettingsError, StateError.
    """
    check_host()
    name = unit_name(service_id)
    path = UNITS / name
    if not path.exists():
        raise StateError(f"there is no unit {path}; nothing was removed")
    _systemctl("disable", "--now", "--quiet", name)
    path.unlink()
    _systemctl("daemon-reload")
    if not list(UNITS.glob("deodar-collector-*.service")):
        _drop_user()
    if not purge:
        return f"{name} is removed; {folder} stays, with what was not delivered yet"
    shutil.rmtree(folder, ignore_errors=True)
    return f"{name} and {folder} are removed"


def _program() -> str:
    """Return the path of the `deodar` that runs now; raises SettingsError for a hidden one."""
    found = Path(sys.argv[0]).absolute()
    if found.name == "__main__.py":
        found = Path(sys.executable).with_name("deodar")
    if not found.is_file():
        raise SettingsError(f"there is no program {found}; install deodar, in /opt/deodar say")
    for hidden in _HIDDEN:
        if found.is_relative_to(hidden):
            raise SettingsError(
                f"{found} lies below {hidden}, where a service cannot see it; install deodar in "
                "a folder of all, such as /opt/deodar"
            )
    return str(found)


def _make_user() -> None:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        words = ("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent")
        _run("useradd", *words, "--shell", "/usr/sbin/nologin", USER)


def _drop_user() -> None:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return
    _run("userdel", USER)


def _give(folder: Path) -> None:
    """Give a folder with all that is in it to the service's user."""
    user = pwd.getpwnam(USER)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _wait_until_active(name: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    state = ""
    while time.monotonic() < deadline:
        state = _state(name)
        if state == "active":
            return
        if state == "failed":
            break
        time.sleep(0.2)
    raise StateError(f"{name} is {state}; see: journalctl -u {name}")


def _state(name: str) -> str:
    ran = subprocess.run(
        ["systemctl", "is-active", name], capture_output=True, text=True, timeout=30, check=False
    )
    return ran.stdout.strip()


def _systemctl(*words: str) -> None:
    _run("systemctl", *words)


def _run(*words: str) -> None:
    try:
        ran = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StateError(f"{words[0]} cannot be run: {error}") from error
    if ran.returncode != 0:
        raise StateError(f"{' '.join(words)} failed: {(ran.stderr or ran.stdout).strip()[:500]}")
