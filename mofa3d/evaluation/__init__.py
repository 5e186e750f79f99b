"""Errors on photographs, scans and pairs, and the reports about them."""
