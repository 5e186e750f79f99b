"""What features tell of an embedding is right by its direction, and faces that no network has seen do not count."""

from __future__ import annotations

import pytest
import torch

from mofa3d.data.corpus.embeddings import Embeddings
from mofa3d.training.identity_loss import identity_loss


def test_only_the_direction_counts():
    embedding = torch.tensor([[3.0, 4.0], [3.0, 4.0], [3.0, 4.0], [1.0, 1.0]])
    told = torch.tensor([[0.6, 0.8], [-4.0, 3.0], [-3.0, -4.0], [-1.0, -1.0]])
    found = identity_loss(told, embedding, torch.tensor([1.0, 1.0, 1.0, 0.0]))
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0, 2.0, 0.0]))


def test_features_of_lower_precision_are_compared_in_float32():
    with torch.autocast("cpu", torch.bfloat16):
        found = identity_loss(torch.ones(1, 3, dtype=torch.bfloat16), torch.ones(1, 3), torch.ones(1))
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(0, abs=1e-6)


def test_embeddings_are_centered_by_the_known_ones():
    values = torch.tensor([[1.0, 2.0], [3.0, 6.0], [0.0, 0.0]])
    embeddings = Embeddings(values, torch.tensor([True, True, False]))
    item = embeddings.item(1)
    torch.testing.assert_close(item["embedding"], torch.tensor([1.0, 2.0]))
    assert float(item["embedding_known"]) == 1
    assert float(embeddings.item(2)["embedding_known"]) == 0
    assert embeddings.fingerprint() != Embeddings(values + 1, embeddings.known).fingerprint()
