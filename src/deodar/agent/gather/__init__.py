"""Gatherers: between the sensors and the events, where several records make one."""
