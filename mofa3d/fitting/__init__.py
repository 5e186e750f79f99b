"""Codes, colors and reflectance found by optimisation, without a network."""
