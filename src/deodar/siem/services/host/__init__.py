"""The side of a service: pairing, settings from the core, reports, restart and reload.

Nothing here knows what the service works at; it starts and stops a collector as a whole.
"""
