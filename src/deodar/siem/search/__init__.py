"""Search: one read-only SELECT on `events`, checked, bounded and shown."""
