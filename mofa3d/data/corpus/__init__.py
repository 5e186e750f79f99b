"""Prepared sets of face crops."""
