"""Items in batches, one after another."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mofa3d.data.batches.in_order import in_order


class Squares(Dataset):
    """Item i is the square of i."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"square": torch.tensor(float(index) ** 2)}


def test_batches_have_the_items_asked_for_in_their_order() -> None:
    found = [batch["square"].tolist() for batch in in_order(Squares(), [3, 1, 2, 5, 4], 2)]
    assert found == [[9.0, 1.0], [4.0, 25.0], [16.0]]
    assert [batch["square"].tolist() for batch in in_order(Squares(), np.array([3, 1, 2, 5, 4]), 2)] == found


def test_no_items_are_no_batches() -> None:
    assert list(in_order(Squares(), [], 2)) == []


def test_only_a_label_shows_progress(capfd) -> None:
    list(in_order(Squares(), [0, 1], 1))
    assert capfd.readouterr().err == ""
    list(in_order(Squares(), [0, 1], 1, "squaring"))
    assert "squaring" in capfd.readouterr().err
