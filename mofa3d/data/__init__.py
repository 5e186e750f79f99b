"""Photographs and synthetic faces for training and evaluation."""
