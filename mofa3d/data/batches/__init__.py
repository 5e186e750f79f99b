"""Streams of training batches."""
