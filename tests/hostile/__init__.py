"""Hostile and unlucky situations, grouped by what is at stake; the slow ones run in `make hostile` only."""
