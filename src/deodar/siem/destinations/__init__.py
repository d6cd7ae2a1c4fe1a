"""Where a collector sends events besides the storage: one add-on a file, found by its kind."""
