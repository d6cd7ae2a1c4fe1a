"""The text of the setting ProxyServer: ``[user[:password]@]host:port``.

The password is everything between the first colon and the last ``@``, taken as it stands.
"""

from __future__ import annotations

import msgspec

from deodar.tasks.addresses import address_problem
from deodar.tasks.errors import InvalidSetting

HIDDEN = "***"
"""What is shown, and taken back, in place of a password."""
NO_PROXY = "no proxy is named; set ProxyServer=host:port, or UseProxy=No"
_MAXIMUM_LENGTH = 1024
_HIGHEST_PORT = 65535


class ProxyServer(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy and, when `user` is not empty, how to sign in there."""

    host: str
    port: int
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Return everything but the password."""
        return f"ProxyServer({self.user and self.user + ':***@'}{self.host}:{self.port})"


def parse_proxy(text: str) -> ProxyServer:
    """Return the parts of the setting. Raises InvalidSetting; the text never has the password."""
    if problem := proxy_problem(text) or ("" if text else NO_PROXY):
        raise InvalidSetting(problem, setting="ProxyServer")
    signing, address = _divided(text)
    user, _, password = signing.partition(":")
    host, port = _address(address)
    return ProxyServer(host=host, port=int(port), user=user, password=password)


def proxy_problem(text: str) -> str:
    """Return why a text cannot be the setting; "" if it can ("" is no proxy)."""
    if not text:
        return ""
    if len(text) > _MAXIMUM_LENGTH:
        return f"at most {_MAXIMUM_LENGTH} characters are allowed"
    signing, address = _divided(text)
    host, port = _address(address)
    if not host or not port:
        return "[user:password@]host:port is expected"
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= _HIGHEST_PORT):
        return f"the port must be a whole number from 1 to {_HIGHEST_PORT}"
    if "@" in text and not signing.partition(":")[0]:
        return "there is no user before the @"
    return address_problem(host)


def hide_password(text: str) -> str:
    """Return the setting with *** for its password, if there is one."""
    signing, address = _divided(text)
    user, colon, _ = signing.partition(":")
    return f"{user}:{HIDDEN}@{address}" if colon else text


def has_hidden_password(text: str) -> bool:
    """Whether *** stands in the setting where a password is meant."""
    return _divided(text)[0].partition(":")[2] == HIDDEN


def restore_password(text: str, present: str) -> str:
    """Return the setting with the present password for ***.

    Raises InvalidSetting when there is none that could be meant.
    """
    if not has_hidden_password(text):
        return text
    signing, address = _divided(text)
    user = signing.partition(":")[0]
    known, _ = _divided(present)
    if known.partition(":")[0] != user or ":" not in known:
        reason = f"{HIDDEN} stands for a password that is not known here; give the password itself"
        raise InvalidSetting(reason, setting="ProxyServer")
    return f"{known}@{address}"


def _divided(text: str) -> tuple[str, str]:
    signing, _, address = text.rpartition("@")
    return signing, address


def _address(text: str) -> tuple[str, str]:
    """Return host and port; an IPv6 address stands in brackets, as before any port."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    return ("", "") if ":" in host else (host, port)
