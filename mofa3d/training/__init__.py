"""Training: the loop, its progress, its checkpoints, AdaDelta."""
