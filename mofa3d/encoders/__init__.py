"""From an image to a code: networks, what computes them, and their checkpoints."""

CHECKPOINT_NAME = "checkpoint.pt"  # of a training, in its folder
