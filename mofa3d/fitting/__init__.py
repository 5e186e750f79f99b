"""Codes, colours and reflectance found by optimisation, without a network."""
