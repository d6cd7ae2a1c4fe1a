"""Where events are kept: one seam, two engines: chDB in this process, ClickHouse over a network."""
