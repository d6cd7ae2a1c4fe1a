"""Enrichment rules: what fills fields of events from elsewhere, one kind a file."""
