"""Numbered changes of the control data's tables, applied by Alembic when the database is opened."""
