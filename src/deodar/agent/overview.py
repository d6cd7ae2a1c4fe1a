"""How the whole agent fares: its parts' states put together, for people and for the server."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from deodar import __version__
from deodar.agent import exclusions
from deodar.agent import status as report
from deodar.agent.coverage import coverage
from deodar.agent.enrich.host import address_towards
from deodar.agent.enrich.interfaces import hardware_address

if TYPE_CHECKING:
    from deodar.agent.connection import ConnectionSettings
    from deodar.agent.detection import Detection
    from deodar.agent.service import Service
    from deodar.agent.uplink_driver import UplinkDriver

MOST_LOSSES = 50


def status_of(service: Service) -> report.AgentStatus:
    """Return how the agent fares now."""
    detection = service.detection
    pipeline = detection.pipeline
    totals = service.losses.by_reason()
    hashes = _hashes(detection)
    return report.AgentStatus(
        time=time.time(),
        started=service.started,
        pid=os.getpid(),
        process_start=service.process_start,
        version=__version__,
        agent_id=service.settings.agent_id,
        memory_bytes=report.memory_of(os.getpid(), hashes.pid),
        tasks=[report.TaskStatus(**msgspec.structs.asdict(one)) for one in service.tasks.list()],
        sensor=_sensor(detection),
        exclusions=_exclusions(service),
        throttle=report.ThrottleStatus(
            on=service.tasks_settings.kataedr.event_transfer_settings.use_request_count_limits,
            active_since=pipeline.throttled_since if pipeline else None,
            held_back=pipeline.counters.throttled if pipeline else 0,
        ),
        pipeline=_pipeline(detection),
        hashes=hashes,
        spool=_spool(service),
        uplink=_uplink(service),
        policy=_policy(service),
        certificates=report.CertificatesStatus(
            service.certificates.known(), _certificate_problems(service)
        ),
        settings_problems=service.tasks_settings.problems,
        losses=[
            report.LossStatus(stage, reason, count) for (stage, reason), count in totals.items()
        ][:MOST_LOSSES],
        losses_by_stage=service.losses.totals(),
        coverage=coverage(
            ["agent", *detection.sources()],
            [(one.name, one.reason) for one in detection.refused],
            service.sightings.last(),
        ),
    )


def synchronization_report(service: Service) -> dict[str, Any]:
    """Return what the server is told at each synchronization, and what policy is in force."""
    host, policy, status = service.host, service.tasks_settings.policy, status_of(service)
    address = address_towards(service.integration.server)
    return {
        "host": {
            "name": host.name,
            "ip": address,
            "mac": hardware_address(address),
            "os_name": host.os_name,
            "os_version": host.os_version,
            "machine_id": host.machine_id,
        },
        "policy_version": policy.version if policy else 0,
        "tasks": [msgspec.to_builtins(one) for one in status.tasks],
        "status": {
            "sensor": msgspec.to_builtins(status.sensor),
            "exclusions": msgspec.to_builtins(status.exclusions),
            "spool": msgspec.to_builtins(status.spool),
            "losses": status.losses_by_stage,
            "hashes_skipped": status.hashes.skipped,
            "not_covered": [one.number for one in status.coverage if not one.covered],
            "memory_bytes": status.memory_bytes,
            "policy_problem": status.policy.problem,
            "problems": [*status.certificates.problems, *status.settings_problems],
        },
    }


def _sensor(detection: Detection) -> report.SensorStatus | None:
    sensor = detection.sensor
    if sensor is None:
        return None
    counters = sensor.counters()
    return report.SensorStatus(
        name=sensor.name,
        tier=sensor.tier,
        refused=detection.refused,
        spare=detection.spare,
        advice=list(sensor.advice),
        received=counters.received,
        lost=counters.lost,
        malformed=counters.malformed,
    )


def _exclusions(service: Service) -> report.ExclusionsStatus:
    settings = service.tasks_settings
    wanted = exclusions.describe(settings.behavior, use_mdr=False)
    use_mdr = settings.application.use_mdr
    pipeline = service.detection.pipeline
    return report.ExclusionsStatus(
        in_force=bool(wanted) and not use_mdr,
        rules=len(wanted),
        excluded=pipeline.counters.excluded if pipeline else 0,
        note=exclusions.MDR_IS_ON if use_mdr else "",
    )


def _pipeline(detection: Detection) -> report.PipelineStatus:
    pipeline, context = detection.pipeline, detection.context
    if pipeline is None or context is None:
        return report.PipelineStatus()
    counters, hasher = pipeline.counters, context.hasher
    return report.PipelineStatus(
        waiting=pipeline.waiting,
        records=counters.records,
        events=counters.events,
        failed=counters.failed,
        processes=len(context.processes),
        hash_hits=hasher.hits,
        hash_misses=hasher.misses,
        hash_timeouts=hasher.timeouts,
        hash_failures=hasher.failures,
    )


def _hashes(detection: Detection) -> report.HashStatus:
    context = detection.context
    if context is None:
        return report.HashStatus()
    counters = context.hasher.counters()
    return report.HashStatus(**asdict(counters), memory_bytes=report.memory_of(counters.pid))


def _spool(service: Service) -> report.SpoolStatus:
    state = service.spool.state()
    return report.SpoolStatus(
        packets=state.packets,
        events=state.events,
        bytes=state.bytes,
        limit_bytes=state.limit,
        oldest_seconds=state.oldest,
        held_packets=state.held_packets,
        disk_error=state.disk_error,
    )


def _uplink(service: Service) -> report.UplinkStatus:
    driver = service.integration.driver
    connection = service.integration.connection()
    shown = report.UplinkStatus(
        state="stopped",
        problem=connection.context_problem,
        server=service.integration.server,
        servers=connection.names,
        proxy=connection.proxy.name if connection.proxy else "",
        last_contact=service.integration.last_contact,
        last_sync=service.integration.last_sync,
        sending=False,
        why_not="the task KATAEDR is stopped",
    )
    return shown if driver is None else _running_uplink(shown, driver, connection)


def _running_uplink(
    shown: report.UplinkStatus, driver: UplinkDriver, connection: ConnectionSettings
) -> report.UplinkStatus:
    machine, counters = driver.machine, driver.counters
    return msgspec.structs.replace(
        shown,
        state=machine.state.value,
        problem=machine.problem,
        clock_offset=driver.clock_offset,
        sending=connection.send,
        why_not="" if connection.send else "the setting EnableTelemetry is No",
        packets=counters.packets,
        events=counters.events,
        dead_events=counters.dead_events,
        duplicates=counters.duplicates,
        failures=counters.failures,
        set_aside=counters.set_aside,
    )


def _policy(service: Service) -> report.PolicyStatus:
    policy = service.tasks_settings.policy
    if policy is None:
        return report.PolicyStatus(problem=service.policy_problem)
    return report.PolicyStatus(policy.version, policy.name, service.policy_problem)


def _certificate_problems(service: Service) -> list[str]:
    use_client = service.tasks_settings.kataedr.use_client_pinned_certificate
    return service.certificates.problems(time.time(), use_client=use_client)
