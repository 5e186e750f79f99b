"""Comparison of systems whose output is pixels instead of codes."""
