"""The agent's own events: what happened to it, for its administrator; KESL has the same.

They are kept on the host, in one bounded file, and asked for by ``deodar agent events``. The
telemetry of the host is another matter: see `deodar.agent.spool`.
"""
