from __future__ import annotations

import pytest
from tests.agent.small_agent import status as made

from deodar.agent import status
from deodar.agent.certificates import CertificateFacts
from deodar.agent.status_text import WIDTH, duration, render, size

NOW = 1_800_000_000.0
ENDS = "2027-01-20T08:00:00Z"  # five days after NOW


def well(**changes: object) -> status.AgentStatus:
    facts = CertificateFacts(kind="server", subject="CN=edr", not_after="2030-01-01T00:00:00Z")
    plain: dict[str, object] = {
        "time": NOW,
        "started": NOW - 600,
        "tasks": [status.TaskStatus(24, "KATAEDR", "KATAEDR", "Started", since=NOW - 7200)],
        "sensor": status.SensorStatus("bpf", "eBPF", spare=["audit", "proc"], received=12),
        "pipeline": status.PipelineStatus(events=12),
        "hashes": status.HashStatus(
            hits=40,
            misses=9,
            pid=77,
            starts=1,
            processor_seconds=2.5,
            memory_bytes=11_700_000,
            limited={"fuzzy hash: file too large": 2},
        ),
        "spool": status.SpoolStatus(2, 5, 2_000_000, 536_870_912, 30),
        "uplink": status.UplinkStatus(
            "connected", server="edr:443", servers=["edr:443"], last_contact=NOW - 5, events=7
        ),
        "certificates": status.CertificatesStatus([facts]),
    }
    return made(**plain | changes)


def test_agent_that_is_well_needs_no_attention() -> None:
    text = render(well(), NOW, running=True)
    assert "! " not in text
    for part in (
        "running for 10 min",
        "50.0 MB",
        "agent-7, version 1.2.3",
        "KATAEDR (24): Started for 2 h",
        "bpf (eBPF): 12 received, 0 lost",
        "not needed: audit, proc",
        "exclusions   none",
        "throttling   on, not active, 0 events held back",
        "edr:443: connected",
        "last contact 5 s ago, last synchronization never",
        "policy       none",
        "server: CN=edr, until 2030-01-01",
        "12 made, 7 delivered",
        "queue        0 records",
        "5 events wait, the oldest for 30 s; 2.0 MB of 536.9 MB on disk",
        "hashes       9 files read, 40 known, 0 wait; process 77, 11.7 MB, 1 starts,",
        "2 files without fuzzy hash: file too large",
        "lost         none since the start",
    ):
        assert part in text, part


def test_what_is_wrong_is_marked() -> None:
    expiring = CertificateFacts(kind="client", subject="CN=a", not_after=ENDS)
    over = CertificateFacts(kind="server", subject="CN=s", not_after="2020-01-01T00:00:00Z")
    unknown = CertificateFacts(kind="server", sha256="ab" * 32)
    text = render(
        well(
            tasks=[status.TaskStatus(24, "KATAEDR", "KATAEDR", "Stopped", "no detection")],
            sensor=status.SensorStatus(
                "audit",
                "audit",
                [status.RefusedSensor("bpf", "no BTF in this kernel")],
                advice=["systemctl mask systemd-journald-audit.socket"],
                malformed=2,
            ),
            exclusions=status.ExclusionsStatus(rules=3, note="not applied: MDR integration is on"),
            throttle=status.ThrottleStatus(active_since=NOW - 60, held_back=9),
            pipeline=status.PipelineStatus(failed=4),
            spool=status.SpoolStatus(held_packets=3, disk_error="No space left on device"),
            uplink=status.UplinkStatus(
                "refused",
                problem="enrol it again",
                server="b:443",
                servers=["a:443", "b:443"],
                proxy="proxy:3128",
                clock_offset=-7200,
                last_sync=NOW - 60,
                sending=False,
                why_not="EnableTelemetry is No",
                dead_events=3,
                set_aside=1,
            ),
            hashes=status.HashStatus(timeouts=6, skipped={"fuzzy hash: no processor time left": 8}),
            policy=status.PolicyStatus(4, "default", "Port=0 is out of range"),
            certificates=status.CertificatesStatus([over, expiring, unknown], ["add it"]),
            settings_problems=["KATAEDR.ini is damaged"],
            losses=[status.LossStatus("spool", "the spool was full", 5)],
            losses_by_stage={"spool": 5, "queue": 1},
        ),
        NOW,
        running=False,
    )
    flat = " ".join(text.split())
    for part in (
        "! NOT RUNNING",
        "! KATAEDR.ini is damaged",
        "! KATAEDR: no detection",
        "! not bpf: no BTF in this kernel",
        "! systemctl mask systemd-journald-audit.socket",
        "2 malformed",
        "! not applied: MDR integration is on",
        "! ACTIVE since",
        "9 events held back",
        "! 4 records of which no event could be made",
        "! b:443: refused",
        "! enrol it again",
        "! no telemetry is sent: EnableTelemetry is No",
        "in this order: a:443, b:443",
        "proxy proxy:3128",
        "the server's clock is 2 h behind this host's",
        "default, version 4",
        "! a newer one was not taken: Port=0",
        "server: CN=s, EXPIRED 2020-01-01",
        "client: CN=a, until 2027-01-20, in 5 days",
        "SHA-256 abababababababab…, dates not known",
        "! add it",
        "! the disk takes nothing: No space left on device; 3 packets wait in memory",
        "! 3 events that the server could not use",
        "! 1 packets that no server takes",
        "! 6 events: 1 in queue, 5 in spool",
        "5 in spool: the spool was full",
        "6 events did not wait for them any longer",
        "! 8 files without fuzzy hash: no processor time left",
    ):
        assert part in flat, part


def test_stopped_detection_is_told() -> None:
    text = render(well(sensor=None), NOW, running=True)
    assert "! none: Behavior_Detection is not started" in text
    off = well(
        throttle=status.ThrottleStatus(on=False),
        exclusions=status.ExclusionsStatus(in_force=True, rules=2, excluded=7),
    )
    text = render(off, NOW + 300, running=True)
    assert "throttling   off" in text
    assert "2 in force, 7 records left out" in text
    assert "! it last told of itself 5 min ago" in text


def test_a_long_reason_stays_under_its_own_line() -> None:
    loss = status.LossStatus("throttle", "many words " * 12, 5)
    text = render(well(losses=[loss], losses_by_stage={"throttle": 5}), NOW, running=True)
    first, second = text.splitlines()[-2:]
    assert first.index("5 in") == len(second) - len(second.lstrip())


def test_lines_fit_the_terminal_and_hold_no_control_characters() -> None:
    evil = "\x1b[2Jx\n" + "word " * 60
    told = well(uplink=status.UplinkStatus("retrying", problem=evil))
    lines = render(told, NOW, running=True).splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (2e5, "2 d")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_are_short() -> None:
    assert [size(n) for n in (5, 1500, 2e6, 3e9)] == ["5 B", "1.5 kB", "2.0 MB", "3.0 GB"]
