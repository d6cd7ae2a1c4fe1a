"""Scanning of files by YARA rules, for external systems, in a process of its own.

`rules` keeps the rules, `scans` the requests and their results, `engine` owns the process that
`worker` is, and `service` carries one to the other.
"""
