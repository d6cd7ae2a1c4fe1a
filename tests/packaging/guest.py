"""What a virtual machine with the installed agent does; each step tells what it saw, as JSON.

Runs as a unit inside the machine, with the agent's own Python. Between the steps that take the
outside it waits for a line on the console.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import tomllib
from pathlib import Path

import tomli_w

from deodar.agent.sensors import audit_control

PORT = int(os.environ["SERVER_PORT"])
STATE = Path("/var/lib/deodar-agent")
CGROUP = Path("/sys/fs/cgroup/system.slice/deodar-agent.service")
UNIT = "deodar-agent.service"
AUDIT_SOCKET = "systemd-journald-audit.socket"
CEILINGS = (
    *("memory.high", "memory.max", "memory.swap.max", "cpu.max", "cpu.weight"),
    *("io.weight", "pids.max"),
)
CONSOLE = Path("/dev/ttyS0")
BURN_SECONDS = 4.0
GROW = "b = []\nwhile True: b.append(b'x' * (4 << 20)); print(4 * len(b), flush=True)"
GROW_SECONDS = 60.0
LEAP = "import mmap; mmap.mmap(-1, 400 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)"
"""Takes 400 MiB in one call of the kernel, which cannot be slowed down on the way."""


def run(*words: str) -> str:
    return subprocess.run(words, stdout=-1, stderr=-2, text=True, timeout=170).stdout.strip()


def tell(step: str, **seen: object) -> None:
    with CONSOLE.open("w") as console:
        console.write(f"\nSEEN {json.dumps({'step': step, **seen})}\n")


def main_pid() -> int:
    return int(run("systemctl", "show", "-P", "MainPID", UNIT))


def wait_active(other_than: int = 0, limit: float = 180) -> int:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        pid = main_pid()
        if pid not in (0, other_than) and run("systemctl", "is-active", UNIT) == "active":
            return pid
        time.sleep(0.5)
    tell("inactive", log=run("journalctl", "-u", UNIT, "-n", "20", "--no-pager"))
    return 0


def mark(name: str) -> None:
    """Start a program that lives long enough for every sensor."""
    subprocess.run(["/bin/sh", "-c", f"sleep 2; : {name}"])


def boot() -> None:
    wait_active()
    mark("before-network")
    tell(
        "boot",
        interfaces=sorted(path.name for path in Path("/sys/class/net").iterdir()),
        kernel=os.uname().release,
    )
    tell("ceilings", **{name: (CGROUP / name).read_text().strip() for name in CEILINGS})


def network() -> None:
    run("modprobe", "-a", "virtio_pci", "virtio_net")
    folder = f"/lib/modules/{os.uname().release}/kernel/drivers/net"
    run("sh", "-c", f"cp {folder}/dummy.ko /run/copied.ko && insmod /run/copied.ko")
    run("sh", "-c", "modinfo dummy; lsmod; : no-module")
    run("ip", "address", "add", "10.0.2.15/24", "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")
    listener = socket.create_server(("127.0.0.1", PORT))
    threading.Thread(target=_relay, args=(listener,), daemon=True).start()


def _relay(listener: socket.socket) -> None:
    """Bring what the agent sends to its server to the host, as if the server were here."""
    while True:
        inner, _ = listener.accept()
        outer = socket.create_connection(("10.0.2.2", PORT))
        for pair in ((inner, outer), (outer, inner)):
            threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()


def use_sensor(*names: str) -> None:
    settings = tomllib.loads((STATE / "agent.toml").read_text())
    settings.setdefault("sensor", {})["order"] = list(names)
    (STATE / "agent.toml").write_text(tomli_w.dumps(settings))
    run("systemctl", "restart", UNIT)


def sensor_status() -> dict[str, object]:
    return json.loads(run("deodar", "agent", "status", "--json", "--dir", str(STATE)))["sensor"]


def audit_state() -> dict[str, object]:
    status = audit_control.status()
    rules = sum(b"deodar" in rule for rule in audit_control.rules())
    settings = [status.enabled, status.backlog_limit, status.backlog_wait]
    return {"rules": rules, "settings": settings}


def tiers() -> None:
    run("systemctl", "stop", UNIT)
    run("systemctl", "start", AUDIT_SOCKET)
    before = audit_state()
    use_sensor("audit")
    first = wait_active()
    during = audit_state()
    tell("journal", socket=run("systemctl", "is-active", AUDIT_SOCKET), **sensor_status())
    os.kill(first, signal.SIGKILL)
    second = wait_active(other_than=first)
    mark("tier-audit")  # of the one that ends in good order, with all that it saw
    log = run("journalctl", "-u", UNIT, "--no-pager")
    run("systemctl", "stop", UNIT)
    cleaned = f"{during['rules']} audit rules removed" in log
    tell("audit", before=before, during=during, after=audit_state(), restarted=second != 0,
         cleaned=cleaned, waited="waiting 2 s" in log)  # fmt: skip
    use_sensor("proc")
    wait_active()
    mark("tier-proc")
    use_sensor("bpf")
    wait_active()
    mark("tier-bpf")


def _used_us() -> int:
    return int(re.search(r"usage_usec (\d+)", (CGROUP / "cpu.stat").read_text())[1])


def _join(*words: str) -> subprocess.Popen[str]:
    """Start a program in the agent's own control group."""
    script = f'echo $$ >{CGROUP}/cgroup.procs && exec "$@"'
    return subprocess.Popen(["/bin/sh", "-c", script, "sh", *words], stdout=-1, text=True)


def processor() -> None:
    """Measure the share of one core: of the agent under a flood, and of a burner beside it."""
    agent = main_pid()
    together = agent in map(int, (CGROUP / "cgroup.procs").read_text().split())
    began, used = time.monotonic(), _used_us()
    flood = subprocess.Popen(["/bin/sh", "-c", "while :; do /bin/true flood; done"])
    time.sleep(BURN_SECONDS)
    flood.kill()
    alone = (_used_us() - used) / 1e6 / (time.monotonic() - began)
    burners = [_join("/bin/sh", "-c", "while :; do :; done") for _ in range(2)]
    time.sleep(0.5)
    began, used = time.monotonic(), _used_us()
    time.sleep(BURN_SECONDS)
    burning = (_used_us() - used) / 1e6 / (time.monotonic() - began)
    for burner in burners:
        burner.kill()
    tell("processor", flooded=round(alone, 3), burning=round(burning, 3), together=together)


def memory() -> None:
    """Let one program beside the agent grow steadily, then one at once."""
    agent = main_pid()
    grower = _join("/usr/bin/python3", "-c", GROW)
    deadline = time.monotonic() + GROW_SECONDS
    while "\nhigh 0\n" in (CGROUP / "memory.events").read_text() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(3)  # it grows on, as fast as the kernel still lets it
    used = int((CGROUP / "memory.current").read_text())
    grower.kill()
    reached = int((grower.communicate()[0].split() or ["0"])[-1])
    leaper = _join("/usr/bin/python3", "-c", LEAP)
    leaper.wait(60)
    after = wait_active(other_than=agent)
    tell("memory", used=used, reached=reached, ended=leaper.returncode,
         restarted=after not in (0, agent))  # fmt: skip
    mark("after-memory")


def locked() -> None:
    """Lock the audit rules until the next boot, and let the agent depend on them alone."""
    run("systemctl", "stop", UNIT)
    audit_control.set_enabled(audit_control.LOCKED)
    use_sensor("audit")
    wait_active()
    told = " ".join(run("deodar", "agent", "status", "--dir", str(STATE)).split())
    tell("locked", status=told, **audit_state())
    use_sensor("audit", "bpf")
    wait_active()
    tell("beside", **sensor_status())


def removal() -> None:
    removed = run("dpkg", "-r", "deodar-agent")
    left = run("find", "/etc", "/usr", "/run", "/opt", "-name", "*deodar*")
    tell("removal", said=removed.splitlines()[-1:], left=left.split(), **audit_state())


def main() -> None:
    boot()
    network()
    tiers()
    processor()
    memory()
    tell("waiting")
    with CONSOLE.open() as console:
        console.readline()
    locked()
    removal()


if __name__ == "__main__":
    main()
