"""From an image to a code: networks, what computes them, and their checkpoints."""
