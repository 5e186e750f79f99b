"""Decoder, vertex renderer and photometric loss in one pass."""
