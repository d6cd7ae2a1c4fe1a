"""Normalizers: declarative files that say how events of a product become normalized events."""
