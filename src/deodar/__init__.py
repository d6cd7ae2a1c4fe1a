"""Deodar: an open EDR-to-SIEM pipeline for Linux; README.md says what it is and how to run it."""

__version__ = "0.1.0"
