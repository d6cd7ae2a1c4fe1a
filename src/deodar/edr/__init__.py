"""The EDR server: takes telemetry from agents, keeps it, and serves it to external systems."""
