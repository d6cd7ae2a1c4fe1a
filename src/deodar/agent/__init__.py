"""The endpoint's program: watches one host and sends what it sees to the EDR server."""
