"""Verification: are two photographs of the same person?"""
