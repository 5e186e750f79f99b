"""How the C library gives memory back, which decides how fast large tensors come and go, and what a GPU has free."""

from __future__ import annotations

import ctypes

import torch

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
LARGEST = 2**31 - 1  # bytes
SHARE = 0.5  # of a GPU's free memory that data may take


def keep_freed_memory() -> bool:
    """Keep freed memory for the next allocation instead of giving it back to the system; whether that could be set.

    Gradients of a hundred megabytes are made anew in every step. Given back in between, every page of them is fetched
    and cleared again. It takes some steps until large blocks fit where large blocks were. The process then stays as
    large as it once was, so programs choose this, not the library.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return bool(set_option(M_MMAP_MAX, 0)) and bool(set_option(M_TRIM_THRESHOLD, LARGEST))


def fits_in_memory(size: int, device: str | torch.device) -> bool:
    """Whether data of so many bytes leave a GPU enough memory for a training; on other devices, never."""
    device = torch.device(device)
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return size < SHARE * free
