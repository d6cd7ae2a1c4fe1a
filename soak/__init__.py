"""A long run of one real agent against a real EDR server, with everything going wrong in turn."""
