"""Random numbers go on where they were."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from mofa3d.training.checkpoint import random_states, set_random_states


def draw() -> list[float]:
    return [random.gauss(0, 1), np.random.normal(), float(torch.randn(()))]  # noqa: NPY002


def test_every_generator_goes_on_where_it_was_also_through_a_file_that_executes_nothing(tmp_path):
    draw()  # normal numbers come in pairs: the second waits
    torch.save(random_states(), tmp_path / "states.pt")
    expected = [draw() for _ in range(3)]
    draw()
    set_random_states(torch.load(tmp_path / "states.pt", weights_only=True))
    assert [draw() for _ in range(3)] == expected


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_gpus_go_on_where_they_were():
    torch.randn(3, device="cuda")
    states = random_states()
    expected = torch.randn(5, device="cuda")
    set_random_states(states)
    assert torch.equal(torch.randn(5, device="cuda"), expected)


@pytest.mark.parametrize("states", [{}, {"torch": 1, "numpy": 2, "python": 3}])
def test_anything_else_is_refused(states):
    with pytest.raises(ValueError, match="the random states are damaged"):
        set_random_states(states)
