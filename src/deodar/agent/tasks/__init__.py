"""The tasks as they are on this host: their settings, and which of them run."""
