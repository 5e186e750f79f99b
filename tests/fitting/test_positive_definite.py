"""Many positive definite equations at once, also after the number of threads has been set."""

from __future__ import annotations

import subprocess
import sys

import torch

from mofa3d.fitting.color_fit import solve

AFTER_SETTING_THREADS = """
import torch
from mofa3d.fitting.color_fit import solve
torch.set_num_threads(2)
for _ in range(20):
    rows = torch.randn(12, 150, 150)
    matrix = rows @ rows.mT + 150 * torch.eye(150)
    found = solve(matrix, torch.ones(12, 150, 1))
    assert float((matrix @ found - 1).abs().max()) < 1e-3
"""


def test_solutions_solve():
    rows = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix, right = rows @ rows.mT + torch.eye(8, dtype=torch.float64), torch.ones(3, 8, 2, dtype=torch.float64)
    torch.testing.assert_close(matrix @ solve(matrix, right), right)
    torch.testing.assert_close(solve(matrix, right), torch.linalg.solve(matrix, right))


def test_what_is_no_number_does_not_spread():
    matrix = torch.eye(4).repeat(2, 1, 1)
    matrix[0, 0, 0] = torch.nan
    found = solve(matrix, torch.ones(2, 4, 1))
    assert found[0].isnan().any()
    assert torch.equal(found[1], torch.ones(4, 1))


def test_threads_do_not_wait_for_each_other():
    """In a process of its own: with LU instead, it never ends on some processors."""
    subprocess.run([sys.executable, "-c", AFTER_SETTING_THREADS], check=True, timeout=120)
