"""What tests of trainings share."""

from __future__ import annotations

import pytest
import torch

from mofa3d.encoders.network import Encoder, make_encoder


@pytest.fixture
def encoder(tiny_model) -> Encoder:
    torch.manual_seed(0)
    made = make_encoder("mobilenet_v2", sizes=tiny_model.sizes, weights=None, input_size=32).eval()
    torch.nn.init.normal_(made.head.weight, std=0.01)
    return made
