"""The collector: fetch, journal, normalize, deliver to the core, acknowledge."""
