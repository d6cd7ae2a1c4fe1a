"""Aggregation rules: many events that are alike become one that says how many they were."""
