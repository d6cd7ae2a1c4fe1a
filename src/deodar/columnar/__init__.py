"""JSON events to Arrow columns: a declarative spec, a fast and a tolerant path, dead letters."""
