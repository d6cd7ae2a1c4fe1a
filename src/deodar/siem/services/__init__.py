"""Services: what runs for the SIEM on other hosts, what it is to do there, and how it fares.

A resource set is a collector's settings with their secret files. A set becomes services; each is
paired with the core once, has a certificate of its own, takes its settings from the core and
reports to it. `host` is the side of the service.
"""
