"""Proofs that take minutes: no event that was acknowledged is lost, whatever is killed or away."""
