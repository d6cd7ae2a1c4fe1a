"""What every program needs and none should write twice: settings, state, logs, journal, web."""
