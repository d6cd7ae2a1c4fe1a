"""The page docs/reference/connectors.md, made from the registry."""

from __future__ import annotations

from deodar.siem.connectors.base import ConnectorSettings
from deodar.siem.connectors.listening import ListenTls
from deodar.siem.connectors.registry import KINDS
from deodar.siem.destinations.trust import TlsSettings
from deodar.siem.setting_tables import common, module_prose, settings_table

_HEAD = """# Connectors of a collector

*Made from the code by `make docs`.*

A collector has one connector, the table `connector` of its `collector.toml`; a restart of the
collector applies a change. `deodar siem collector add NAME --connector KIND --set KEY=VALUE …`
makes one:

```console
$ deodar siem collector add syslog --connector tcp --set host=0.0.0.0 --set port=6514 \\
    --set tls.certificate=/etc/deodar/syslog.pem --normalizer raw --dir DIR
```

The normalizer makes fields of the events: `kedr` for telemetry of an EDR server, `deodar-json` for
normalized events as a collector's destinations send them, `raw` for the text as it came with its
source and time, or the path of a file of your own.

## What is promised

- What a connector takes is durable in the collector's journal before the sender gets a receipt or
  the place at the source moves. From there on each event is stored exactly once, whatever is
  killed.
- When the journal is full nothing more is taken: a sender over TCP waits, one over HTTP is told
  when to come again, files, Kafka, NATS and polled services are read later. Datagrams cannot be
  held back: those that the kernel threw away are counted.
- An event that is longer than `max_event_bytes` is put among the dead letters, as far as it goes.
- `deodar siem collector status` and the metrics (`deodar_collector_connector_total`) have the
  counts that a connector keeps of its own, such as `datagrams_lost` or `repeats`.

| connector | an event that was taken comes again when | and is then |
|---|---|---|
"""
_REPEATS = {
    "file": ("never", ""),
    "http": (
        "the sender got no answer",
        "recognised by its `Idempotency-Key`; without one stored again",
    ),
    "http-poll": ("the service gives it behind its cursor again", "stored again"),
    "kafka": (
        "partitions change hands between collectors of a group",
        "stored again, by the other collector",
    ),
    "kata/edr": ("the token is reset", "stored again"),
    "nats-jetstream": ("it was not acknowledged in time", "recognised by its sequence number"),
    "tcp": ("the sender sends it again", "stored again; TCP has no receipt"),
    "udp": ("the sender sends it again", "stored again"),
}


def page() -> str:
    """Return the page's text."""
    rows = [f"| `{name}` | {when} | {then} |" for name, (when, then) in sorted(_REPEATS.items())]
    parts = [_HEAD + "\n".join(rows) + "\n", "## Settings of every kind\n"]
    parts.append(settings_table(ConnectorSettings))
    for name in sorted(KINDS):
        kind = KINDS[name]
        parts += [f"## `{name}`: {kind.summary}\n", f"{module_prose(kind.open)}\n"]
        parts += [f"Its normalizer, unless set otherwise: `{kind.normalizer}`.\n"]
        parts.append(settings_table(kind.settings, common(ConnectorSettings)))
    parts += ["## `tls` of `tcp` and `http`\n", settings_table(ListenTls)]
    parts += ["## `tls` of the others\n", settings_table(TlsSettings)]
    return "\n".join(parts)
