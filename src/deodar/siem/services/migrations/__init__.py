"""Migrations of the tables of services, a linear chain."""
