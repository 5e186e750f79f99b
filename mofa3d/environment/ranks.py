"""Which of several processes that train together this one is."""

from __future__ import annotations

import torch


def rank_and_world() -> tuple[int, int]:
    """Number of this process and how many there are, as torch.distributed says; (0, 1) where it was not begun."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
