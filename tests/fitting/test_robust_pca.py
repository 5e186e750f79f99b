"""Components come back from data with gaps and outliers."""

from __future__ import annotations

import pytest
import torch

from mofa3d.fitting.robust_pca import robust_pca

SAMPLES, VERTICES, RANK = 400, 60, 3


@pytest.fixture(scope="module")
def truth():
    generator = torch.Generator().manual_seed(3)
    mean = torch.rand(VERTICES, 3, generator=generator)
    basis = torch.linalg.qr(torch.randn(3 * VERTICES, RANK, generator=generator))[0] * torch.tensor([3.0, 2.0, 1.0])
    codes = torch.randn(SAMPLES, RANK, generator=generator)
    noise = 0.02 * torch.randn(SAMPLES, VERTICES, 3, generator=generator)
    basis = basis.view(VERTICES, 3, RANK)
    return basis, mean + torch.einsum("mk,vck->mvc", codes, basis) + noise


def subspace_cosine(basis: torch.Tensor, expected: torch.Tensor) -> float:
    """Least cosine of the principal angles between two spans."""
    ours, theirs = (torch.linalg.qr(b.flatten(0, 1))[0] for b in (basis, expected))
    return float(torch.linalg.svdvals(ours.T @ theirs).min())


def corrupted(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A quarter of all vertices missing, and in a third of the samples a run of vertices of one wrong color."""
    generator = torch.Generator().manual_seed(5)
    weights = (torch.rand(SAMPLES, VERTICES, generator=generator) > 0.25).float()
    wrong = torch.zeros(SAMPLES, VERTICES, dtype=torch.bool)
    for sample in range(0, SAMPLES, 3):
        start = int(torch.randint(VERTICES - 10, (1,), generator=generator))
        wrong[sample, start : start + 10] = True
    values = torch.where(wrong[..., None], torch.tensor(1.5), values)
    return torch.where(weights[..., None] > 0, values, torch.tensor(50.0)), weights, wrong


def test_clean_data_give_the_ordinary_components(truth):
    basis, values = truth
    found = robust_pca(values, torch.ones(SAMPLES, VERTICES), RANK)
    flat = (values - values.mean(dim=0)).flatten(1)
    expected = torch.linalg.svdvals(flat)[:RANK] / (SAMPLES - 1) ** 0.5
    torch.testing.assert_close(found.basis.flatten(0, 1).norm(dim=0), expected, rtol=0.03, atol=0)
    assert subspace_cosine(found.basis, basis) > 0.999
    torch.testing.assert_close(found.mean, values.mean(dim=0), atol=0.02, rtol=0)
    assert found.codes.std(dim=0) == pytest.approx(torch.ones(RANK), abs=0.02)


def test_gaps_and_outliers_do_not_turn_the_components(truth):
    basis, values = truth
    damaged, weights, wrong = corrupted(values)
    found = robust_pca(damaged, weights, RANK, rounds=30)
    assert subspace_cosine(found.basis, basis) > 0.99
    predicted = found.mean + torch.einsum("mk,vck->mvc", found.codes, found.basis)
    assert (predicted - values).abs().median() < 0.05
    assert found.weights[wrong & (weights > 0)].mean() < 0.05
    assert found.weights[~wrong & (weights > 0)].mean() > 0.6
    assert (found.weights[weights == 0] == 0).all()
    filled = torch.where(weights[..., None] > 0, damaged, values.mean(dim=0))
    plain = robust_pca(filled, torch.ones_like(weights), RANK, rounds=1)
    assert subspace_cosine(plain.basis, basis) < subspace_cosine(found.basis, basis)


def test_a_vertex_that_no_sample_shows_takes_a_finite_value(truth):
    _, values = truth
    weights = torch.ones(SAMPLES, VERTICES)
    weights[:, 7] = 0
    found = robust_pca(values, weights, RANK)
    assert found.mean.isfinite().all()
    assert found.basis[7].abs().max() < 0.05


def test_the_seed_decides(truth):
    _, values = truth
    weights = torch.ones(SAMPLES, VERTICES)
    assert torch.equal(robust_pca(values, weights, RANK).basis, robust_pca(values, weights, RANK).basis)


def test_too_few_samples_are_refused(truth):
    _, values = truth
    with pytest.raises(ValueError, match="3 components need more than 11 samples, got 10"):
        robust_pca(values[:10], torch.ones(10, VERTICES), RANK)
