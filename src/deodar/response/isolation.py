"""Network isolation and execution prevention: the settings, with KATA's names of their fields.

Facts: KATA's response API (help topics 227448, 227499, 227449). A port belongs to one direction
only; the timer is from 1 to 9,999 hours, told in seconds.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from deodar.response.errors import OrderProblem

ISOLATION, PREVENTION = "network_isolation", "prevention"
HOUR = 3600
SHORTEST, LONGEST = HOUR, 9999 * HOUR
Port = Annotated[int, Meta(ge=0, le=65_535)]


class PortRange(msgspec.Struct, frozen=True, rename="camel"):
    """Ports, both ends included."""

    from_port: Port
    to_port: Port


class ExcludedRule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Traffic that stays allowed; what is left out means any."""

    direction: Literal["inbound", "outbound", "both"] = "both"
    protocol: Annotated[int, Meta(ge=0, le=255)] | None = None
    """IANA's number."""
    remote_ipv4_address: str | None = msgspec.field(default=None, name="remoteIpv4Address")
    remote_ipv6_address: str | None = msgspec.field(default=None, name="remoteIpv6Address")
    remote_port_range: PortRange | None = None
    local_port_range: PortRange | None = None


class Isolation(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Settings of network isolation."""

    excluded_rules: Annotated[tuple[ExcludedRule, ...], Meta(max_length=1000)] = ()
    auto_turnoff_timeout_in_sec: Annotated[int, Meta(ge=SHORTEST, le=LONGEST)] | None = None
    """Seconds until it ends by itself; None: not before somebody ends it."""


class PreventedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that must not run, by one of its hashes."""

    sha256: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{64}$")] | None = None
    md5: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{32}$")] | None = None
    name: Annotated[str, Meta(max_length=256)] | None = None


class PreventedObject(msgspec.Struct, frozen=True):
    """One object of the list."""

    file: PreventedFile


class Prevention(msgspec.Struct, frozen=True):
    """Settings of execution prevention: the whole list."""

    objects: Annotated[tuple[PreventedObject, ...], Meta(max_length=10_000)]


Settings = Isolation | Prevention
KINDS: dict[str, type[Settings]] = {ISOLATION: Isolation, PREVENTION: Prevention}


def check(kind: str, settings: Any) -> Settings:
    """Return settings from JSON's values, alone or as a list of one; raises OrderProblem.

    An older page of KATA's documentation shows them as a list.
    """
    if isinstance(settings, list):
        if len(settings) != 1:
            raise OrderProblem("settings: a list must have exactly one element")
        settings = settings[0]
    try:
        checked: Settings = msgspec.convert(settings, KINDS[kind])
    except msgspec.ValidationError as error:
        raise OrderProblem(f"settings: {error}") from error
    if isinstance(checked, Isolation):
        for number, rule in enumerate(checked.excluded_rules):
            _check_rule(rule, f"settings.excludedRules[{number}]")
    else:
        _check_objects(checked)
    return checked


def _check_rule(rule: ExcludedRule, where: str) -> None:
    _address(rule.remote_ipv4_address, ipaddress.IPv4Address, f"{where}.remoteIpv4Address")
    _address(rule.remote_ipv6_address, ipaddress.IPv6Address, f"{where}.remoteIpv6Address")
    if rule.remote_ipv4_address and rule.remote_ipv6_address:
        raise OrderProblem(f"{where}: an IPv4 and an IPv6 address at once; make two rules")
    for ports, name in (
        (rule.remote_port_range, "remotePortRange"),
        (rule.local_port_range, "localPortRange"),
    ):
        if ports is None:
            continue
        if rule.direction == "both":
            raise OrderProblem(f"{where}.{name}: ports need a direction, inbound or outbound")
        if ports.from_port > ports.to_port:
            raise OrderProblem(f"{where}.{name}: fromPort is above toPort")


def _address(text: str | None, kind: type[Any], where: str) -> None:
    if text is None:
        return
    try:
        kind(text)
    except ValueError as error:
        raise OrderProblem(f"{where}: {error}") from error


def _check_objects(settings: Prevention) -> None:
    for number, one in enumerate(settings.objects):
        if (one.file.sha256 is None) == (one.file.md5 is None):
            raise OrderProblem(f"settings.objects[{number}].file: give one of sha256 and md5")
