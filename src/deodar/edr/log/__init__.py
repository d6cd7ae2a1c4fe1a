"""The event log: every event that was taken in, in one order, under sequence numbers from 1.

Packets come in, a single committer gives the numbers and writes blocks; readers see no further
than the last committed number. Numbers of packets are columns of the same table, so that data and
the knowledge of what was taken are committed together.
"""
