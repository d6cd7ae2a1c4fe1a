"""From a record to an event: connections, open ports, raw sockets, questions to name servers."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from deodar.agent.enrich.fragments import of_actor, of_owner
from deodar.agent.enrich.registry import Told, converts
from deodar.agent.sensors.acts import DnsQuery, RawSocket
from deodar.agent.sensors.base import Connection, Listen

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.registry import Event

INBOUND, OUTBOUND = 0, 1
ESTABLISHED, FAILED, DATAGRAM = "established", "failed", "datagram"
WITHOUT_CONNECTIONS = frozenset({17, 136})
"""UDP and UDP-Lite."""
FAMILIES = {
    **{family.value: family.name for family in socket.AddressFamily},
    31: "AF_BLUETOOTH", 35: "AF_PHONET", 36: "AF_IEEE802154", 37: "AF_CAIF", 44: "AF_XDP",
}  # fmt: skip
SOCKET_TYPES = {2: "SOCK_DGRAM", 3: "SOCK_RAW", 10: "SOCK_PACKET"}


@converts(Connection, "connection")
def connection(context: Context, record: Connection) -> Told:
    """A connection was made to or from this host, or tried; of UDP a first datagram passed."""
    is_known = record.remote_port or record.protocol not in WITHOUT_CONNECTIONS
    own: Event = {
        "RemoteIp": record.remote_ip if is_known else None,
        "RemotePort": record.remote_port if is_known else None,
        "Direction": OUTBOUND if record.direction == "outbound" else INBOUND,
        "ConnectionResult": _result(record),
        "ConnectionError": error_name(record.error),
    }
    return _socket(context, record, own)


@converts(Listen, "portlisten")
def portlisten(context: Context, record: Listen) -> Told:
    """A process opened a port for others."""
    return _socket(context, record, {})


@converts(RawSocket, "rawsocket")
def rawsocket(context: Context, record: RawSocket) -> Told:
    """A process opened a socket on which it makes, or sees, packets by itself."""
    own: Event = {
        "SocketFamily": FAMILIES.get(record.family, str(record.family)),
        "SocketType": SOCKET_TYPES.get(record.type, str(record.type)),
        "Protocol": record.protocol,
    }
    return Told(own, (of_actor(context, record),))


@converts(DnsQuery, "dns")
def dns(context: Context, record: DnsQuery) -> Told:
    """A process asked a server for a name."""
    own: Event = {
        "RemoteIp": record.server_ip,
        "RemotePort": record.server_port,
        "Protocol": record.protocol,
        "Direction": OUTBOUND,
        "DnsQuery": record.name,
        "DnsType": record.type,
        "DnsId": record.id,
        "DnsResponseCode": record.rcode,
        "DnsAnswers": ", ".join(record.answers),
    }
    return Told(own, (of_actor(context, record),))


def error_name(number: int) -> str | None:
    """Return the name of an errno, such as "ECONNREFUSED"; None for 0."""
    return errno.errorcode.get(number, str(number)) if number else None


def _result(record: Connection) -> str:
    if not record.established:
        return FAILED
    return DATAGRAM if record.protocol in WITHOUT_CONNECTIONS else ESTABLISHED


def _socket(context: Context, record: Connection | Listen, own: Event) -> Told:
    process = context.processes.find(record.key)
    fields: Event = {
        "UserName": context.users.name(record.uid) if process is None else None,
        "Protocol": record.protocol,
        "LocalIp": record.local_ip,
        "LocalPort": record.local_port,
        **own,
    }
    return Told(fields, (of_owner(context, record.key, process),))
