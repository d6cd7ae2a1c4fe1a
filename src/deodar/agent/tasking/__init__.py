"""Orders of the EDR server: waited for in one thread, carried out and answered in another.

`driver` waits, `book` remembers over restarts, `worker` carries out with `executors` and sends what
is in the `outbox`. Telemetry has its own thread and connection, and never waits for any of this.
"""
