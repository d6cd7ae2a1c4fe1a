"""The text of an address: IPv4, IPv6, or a host's name."""

from __future__ import annotations

import ipaddress
import re

_LONGEST_NAME = 253
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


def address_problem(text: str) -> str:
    """Return why a text is no address of a host; "" if it is one."""
    if not text:
        return "an IPv4 or IPv6 address or a host's name is expected"
    if text.startswith("["):
        return "an IPv6 address is written without brackets here"
    if ":" in text:
        return "" if _is_ip(text) else "it is no IPv6 address; the port is a setting of its own"
    if re.fullmatch(r"[0-9.]+", text):
        return "" if _is_ip(text) else "it is no IPv4 address"
    labels = text.removesuffix(".").split(".")
    if len(text) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        return "it is no address, and no host has such a name"
    return ""


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
