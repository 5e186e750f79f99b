"""Which of several photographs do not show the person of the others, as far as the shapes of their faces tell.

For each photograph, two explanations of its points are compared: that its shape is the one that the others tell of, and
that it is anybody's, drawn from the model's prior. Both are normal distributions, so that the ratio of their
likelihoods has a closed form.

Reference: the two-covariance model of speaker verification (Brümmer and de Villiers 2010, "The speaker partitioning
problem").
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

FEWEST = 3  # photographs, for of two that differ either may be the right one
# Logarithm of the ratio of the likelihoods below which a photograph is named. With two to four others of one of 154
# people of lfw, it names 1 % of the photographs that show the same person, and 26 to 31 % of those that do not.
STRANGE = -4.0


def strangers(shapes: Float[Tensor, "B S"], information: Float[Tensor, "B S S"]) -> list[int]:
    """Numbers of the photographs that stand out, the least likely first.

    Args:
        shapes: fitted to each photograph.
        information: of each; see `mofa3d.fitting.dense_fit.DenseEstimate`.
    """
    known = information.double()
    known = (known + known.mT) / 2
    identity = torch.eye(shapes.shape[1], dtype=known.dtype)
    said = ((known + identity) @ shapes.double()[..., None])[..., 0]
    left, found = list(range(len(shapes))), []
    while len(left) >= FEWEST:
        ratios = {}
        for one in left:
            others = [other for other in left if other != one]
            precision = identity + known[others].sum(dim=0)
            same = _log_likelihood(said[one], known[one], precision, said[others].sum(dim=0))
            anybody = _log_likelihood(said[one], known[one], identity, torch.zeros_like(said[one]))
            ratios[one] = float(same - anybody)
        worst = min(ratios, key=ratios.__getitem__)
        if ratios[worst] >= STRANGE:
            break
        found.append(worst)
        left.remove(worst)
    return found


def _log_likelihood(
    said: Float[Tensor, "S"], known: Float[Tensor, "S S"], precision: Float[Tensor, "S S"], mean: Float[Tensor, "S"]
) -> Float[Tensor, ""]:
    """Of what a photograph says, but for a constant, if shapes are normal.

    Args:
        said: b, of (I + Λ)⁻¹ b as the shape that is fitted to the photograph alone.
        known: Λ of the photograph.
        precision: P of the shapes.
        mean: P times the shapes' mean.
    """
    both = precision + known
    width = torch.logdet(precision) - torch.logdet(both)
    distance = mean @ torch.linalg.solve(precision, mean) - (mean + said) @ torch.linalg.solve(both, mean + said)
    return (width - distance) / 2
