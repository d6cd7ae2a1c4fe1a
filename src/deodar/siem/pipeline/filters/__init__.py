"""Conditions on normalized events: KUMA's condition language, read, checked and evaluated."""
