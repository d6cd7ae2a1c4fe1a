"""JSON events to Arrow columns: one declarative spec, a fast path, a tolerant path, dead letters."""
