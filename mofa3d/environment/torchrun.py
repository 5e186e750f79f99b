"""What torchrun tells the processes that it starts; read without PyTorch, which programs load late."""

from __future__ import annotations

import os

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def is_launched() -> bool:
    """Whether torchrun, or something alike, has started this process."""
    return all(name in os.environ for name in VARIABLES)


def rank() -> int:
    """The number of this process among all that were started together; 0 if it is the only one."""
    return int(os.environ["RANK"]) if is_launched() else 0


def count() -> int:
    """How many were started together."""
    return int(os.environ["WORLD_SIZE"]) if is_launched() else 1
