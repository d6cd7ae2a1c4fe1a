"""Certificates and TLS contexts: making and checking them, and taking any client certificate."""
