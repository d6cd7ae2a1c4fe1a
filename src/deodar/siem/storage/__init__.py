"""The events table and the service that takes batches into it."""
