"""Corpora that are larger than memory and disk, read shard after shard."""
