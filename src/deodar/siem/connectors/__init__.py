"""Connectors: how events are fetched from a source. Each is a state machine and a thin driver."""
