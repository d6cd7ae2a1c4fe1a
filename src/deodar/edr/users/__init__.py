"""Users of the EDR server: accounts with roles, passwords, API tokens, sessions, lock-out."""
