"""The kinds of telemetry, from the host to the SIEM, with one agent for all of them."""
