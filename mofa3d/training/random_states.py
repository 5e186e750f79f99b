"""Random states of a process, so that what was stopped goes on with the same numbers as if it had not been."""

from __future__ import annotations

import random
from typing import cast

import numpy as np
import torch
from torch import Tensor

from mofa3d.errors import InputError


def random_states() -> dict:
    """States of PyTorch on the CPU and on GPUs that are in use, of Python and of NumPy; plain values and tensors."""
    name, key, *rest = cast(tuple, np.random.get_state(legacy=True))  # noqa: NPY002 (whatever uses it)
    states = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(key.astype(np.int64)), *rest),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_states(states: dict) -> None:
    """Go on with the states that `random_states` gave; those of devices that are not here are left out.

    Raises:
        InputError: they are not of this kind.
    """
    try:
        name, key, *rest = states["numpy"]
        torch.set_rng_state(states["torch"])
        random.setstate(states["python"])
        np.random.set_state((name, key.numpy().astype(np.uint32), *rest))  # noqa: NPY002
        gpus: list[Tensor] = states.get("cuda", [])
        for number, state in enumerate(gpus[: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, number)
        if "mps" in states and torch.backends.mps.is_available():
            torch.mps.set_rng_state(states["mps"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:  # of the generators
        raise InputError(f"the random states are damaged ({error})") from None
