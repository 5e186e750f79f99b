"""PyTorch's settings for a whole process or block, which are the user's, and what must not depend on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def plain_settings() -> Iterator[None]:
    """Compute as in a fresh process: no inference mode, no autocast, tensors on the CPU unless stated otherwise.

    Also a decorator. What is opened in an inference mode of the user's and kept, as models are, could never be
    differentiated through afterwards. The default type, alone of these settings, cannot be changed for one thread: it
    has no place here, and every new tensor says its own.
    """
    differentiable = torch.is_grad_enabled()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(differentiable))  # which the line above switches on
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield
