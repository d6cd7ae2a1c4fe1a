"""Backup and restore of an EDR server: its control data, its folder, its event log.

A backup is a tar file. ``backup.json`` says what it is of, ``control/`` has the tables of control
data, ``files/`` what lies in the server's folder, ``log/`` the events in their order, and
``manifest.json``, the last one, the size and SHA-256 of each. A file without its manifest, or with
anything that does not agree with it, is not restored.
"""
