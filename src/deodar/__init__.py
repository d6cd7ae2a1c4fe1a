"""Deodar: an open EDR-to-SIEM pipeline for Linux. See README.md for what it is and how to run it."""

__version__ = "0.1.0"
