"""Do two photographs show the same person? Cosine similarity of whitened codes, by LFW's ten-fold protocol.

Whatever is estimated from photographs (whitening and threshold) comes from the other folds, never from the one that is
tested. Reference: Huang et al. 2007, "Labeled Faces in the Wild", View 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mofa3d.evaluation.verification.pairs import Pair

SHRINKAGE = 1e-3  # of the mean variance, added to every direction before it is divided by


@dataclass(frozen=True)
class Whitening:
    """A linear map after which the codes it was made from have mean 0 and covariance 1."""

    mean: Float[np.ndarray, "D"]
    matrix: Float[np.ndarray, "D D"]

    def __call__(self, codes: Float[np.ndarray, "K D"]) -> Float[np.ndarray, "K D"]:
        return (codes - self.mean) @ self.matrix


def fit_whitening(codes: Float[np.ndarray, "K D"]) -> Whitening:
    """Whitening of a set of codes; directions in which they hardly vary are not blown up beyond reason."""
    mean = codes.mean(axis=0)
    covariance = np.atleast_2d(np.cov(codes, rowvar=False, bias=True))
    variances, directions = np.linalg.eigh(covariance)
    floor = SHRINKAGE * variances.mean() + np.finfo(np.float64).tiny
    return Whitening(mean, directions / np.sqrt(variances.clip(0) + floor))


def cosine(a: Float[np.ndarray, "K D"], b: Float[np.ndarray, "K D"]) -> Float[np.ndarray, "K"]:
    """Cosine similarity of rows; 0 where one of them is zero."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / np.maximum(lengths, 1e-12)


def best_threshold(similarity: Float[np.ndarray, "K"], same: Bool[np.ndarray, "K"]) -> float:
    """The threshold at or above which calling pairs the same is right most often.

    Halfway between two neighbouring similarities; of several equally good ones the middle one.
    """
    values = np.unique(similarity)
    candidates = np.concatenate([[values[0] - 1e-6], (values[1:] + values[:-1]) / 2, [values[-1] + 1e-6]])
    # Right answers at each threshold: the different pairs below it, and the same ones above.
    below = np.searchsorted(np.sort(similarity[~same]), candidates, side="left")
    above = same.sum() - np.searchsorted(np.sort(similarity[same]), candidates, side="left")
    right = below + above
    best = np.flatnonzero(right == right.max())
    return float(candidates[best[len(best) // 2]])


@dataclass(frozen=True)
class Verification:
    """What the protocol found.

    Attributes:
        accuracies: of each fold.
        thresholds: of each fold, from the others.
        similarity: of each pair, with its own fold's whitening.
        same: truth.
    """

    accuracies: Float[np.ndarray, "F"]
    thresholds: Float[np.ndarray, "F"]
    similarity: Float[np.ndarray, "K"]
    same: Bool[np.ndarray, "K"]

    @property
    def accuracy(self) -> float:
        return float(self.accuracies.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean accuracy: the folds' standard deviation over the root of their number."""
        return float(self.accuracies.std(ddof=1) / np.sqrt(len(self.accuracies)))

    @property
    def area(self) -> float:
        """Area under the ROC: how often a matched pair is more similar than a mismatched one, ties counting half."""
        false, true = self.curve()
        return float(np.trapezoid(true, false))

    def curve(self) -> tuple[Float[np.ndarray, "T"], Float[np.ndarray, "T"]]:
        """False and true positive rates at every threshold, from none accepted to all."""
        values = np.unique(self.similarity)
        rates = []
        for kind in (~self.same, self.same):
            accepted = kind.sum() - np.searchsorted(np.sort(self.similarity[kind]), values[::-1], side="left")
            rates.append(np.concatenate([[0.0], accepted / kind.sum()]))
        return rates[0], rates[1]


def verify(
    codes: Float[np.ndarray, "P D"], rows: dict[str, int], pairs: Sequence[Pair], whiten: bool = True
) -> Verification:
    """Run the protocol.

    Args:
        codes: what is compared, one row per photograph.
        rows: the row of each photograph's name.
        pairs: see `mofa3d.evaluation.verification.pairs.read_pairs`.
        whiten: whether codes are whitened first; those that were made to be compared need not be.
    """
    first, second = (np.array([rows[getattr(pair, side)] for pair in pairs]) for side in ("first", "second"))
    same = np.array([pair.same for pair in pairs])
    fold = np.array([pair.fold for pair in pairs])
    codes = codes.astype(np.float64)
    similarity, accuracies, thresholds = np.zeros(len(pairs)), [], []
    for number in np.unique(fold):
        tested = fold == number
        compared = _whitened(codes, first, second, ~tested) if whiten else codes
        found = cosine(compared[first], compared[second])
        threshold = best_threshold(found[~tested], same[~tested])
        similarity[tested] = found[tested]
        accuracies.append(float(((found[tested] >= threshold) == same[tested]).mean()))
        thresholds.append(threshold)
    return Verification(np.array(accuracies), np.array(thresholds), similarity, same)


def _whitened(
    codes: Float[np.ndarray, "P D"],
    first: Int[np.ndarray, "K"],
    second: Int[np.ndarray, "K"],
    known: Bool[np.ndarray, "K"],
) -> Float[np.ndarray, "P D"]:
    """Codes, whitened by the photographs of the known pairs."""
    photos = np.unique(np.concatenate([first[known], second[known]]))
    return fit_whitening(codes[photos])(codes)
