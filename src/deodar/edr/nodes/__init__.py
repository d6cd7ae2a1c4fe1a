"""Several servers behind one name, which share one event log.

Each takes packets, serves readers and tells agents their orders. A packet is acknowledged when the
stream between the nodes (NATS JetStream) has it. One node at a time writes the log from the stream.
PostgreSQL says who that is and how far the log is committed; the log is in a ClickHouse server.

``connection``  the stream and the way to it
``blocks``      a packet as messages of the stream
``publisher``   what an ingest node does with a packet
``position``    how far the log is committed, in which term
``cursor``      the stream's messages in their order
``writer``      the election, and what the elected one does
``follower``    the log as every node sees it
``node``        all of it, for one running server
``register``    which nodes there are
``bundle``      what a new node has to know, in one file
``files``       files that every node can get
"""
