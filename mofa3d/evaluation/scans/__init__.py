"""Scans of faces: reading a folder of them, and the distance from a scan to a reconstructed face."""
