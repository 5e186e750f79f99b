"""Shape modes: random adult heads, brought to a common pose and size, and their principal components."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mofa3d.models.makehuman.source import read_target

SAMPLE_COUNT = 600
ANCESTRIES = ("caucasian", "asian", "african")
SEXES = ("female", "male")
AGES = ("young", "old")
LEVELS = ("min", "average", "max")
FACE_FOLDERS = ("head", "eyes", "nose", "mouth", "ears", "cheek", "chin", "forehead", "eyebrows", "neck")
OPPOSITES = (
    ("-decr", "-incr"),
    ("-down", "-up"),
    ("-in", "-out"),
    ("-backward", "-forward"),
    ("-concave", "-convex"),
    ("-compress", "-uncompress"),
)
DETAIL_DEVIATION = 0.15  # of a detail target's weight, where 1 is the strongest MakeHuman offers
ASYMMETRY_DEVIATION = 0.04


class IdentitySampler:
    """Random adults from MakeHuman's targets.

    Sex, ancestry, age, muscle and weight are drawn as MakeHuman mixes them; the detail targets of head and face are
    normal, with left and right nearly equal.
    """

    def __init__(self, data: Path, vertex_count: int, keep: np.ndarray) -> None:
        """`keep`: indices of the vertices of the base mesh that are wanted."""
        targets = data / "mpfb2/targets"

        def read(path: Path) -> np.ndarray:
            return read_target(path, vertex_count)[keep]

        macro = targets / "macrodetails"
        self.ancestry = {
            (r, s, a): read(macro / f"{r}-{s}-{a}.target.gz") for r in ANCESTRIES for s in SEXES for a in AGES
        }
        self.body = {
            (s, a, m, w): read(macro / f"universal-{s}-{a}-{m}muscle-{w}weight.target.gz")
            for s in SEXES
            for a in AGES
            for m in LEVELS
            for w in LEVELS
        }
        files = [path for folder in FACE_FOLDERS for path in sorted((targets / folder).glob("*.target.gz"))]
        self.details = {path.name.removesuffix(".target.gz"): read(path) for path in files}
        self.pairs, self.singles = _pair(list(self.details))

    def sample(self, random: np.random.Generator) -> np.ndarray:
        """Displacements (V, 3) of one random adult, dm."""
        male = random.beta(0.6, 0.6)
        old = random.beta(1.2, 1.8)
        sex, age = {"female": 1 - male, "male": male}, {"young": 1 - old, "old": old}
        ancestry = dict(zip(ANCESTRIES, random.dirichlet([0.6] * 3), strict=True))
        muscle = _levels(np.clip(random.normal(0.5, 0.2), 0, 1))
        weight = _levels(np.clip(random.normal(0.5, 0.25), 0, 1))
        result = sum(ancestry[r] * sex[s] * age[a] * target for (r, s, a), target in self.ancestry.items())
        for (s, a, m, w), target in self.body.items():
            result = result + sex[s] * age[a] * muscle[m] * weight[w] * target
        shared: dict[str, float] = {}
        for low, high in self.pairs:
            value = shared.setdefault(_without_side(low), np.clip(random.normal(0, DETAIL_DEVIATION), -1, 1))
            if _without_side(low) != low:
                value = value + random.normal(0, ASYMMETRY_DEVIATION)
            result = result - value * self.details[low] if value < 0 else result + value * self.details[high]
        for name in self.singles:
            drawn = np.clip(abs(random.normal(0, 0.7 * DETAIL_DEVIATION)), 0, 1)
            result = result + shared.setdefault(_without_side(name), drawn) * self.details[name]
        return result


def _levels(value: float) -> dict[str, float]:
    return {"min": max(0.0, 1 - 2 * value), "average": 1 - abs(2 * value - 1), "max": max(0.0, 2 * value - 1)}


def _without_side(name: str) -> str:
    return name[2:] if name.startswith(("l-", "r-")) else name


def _pair(names: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Targets that are the two directions of one detail, and those without an opposite."""
    pairs, paired = [], set()
    for name in names:
        for low, high in OPPOSITES:
            opposite = name.removesuffix(low) + high
            if name.endswith(low) and opposite in names and name not in paired:
                pairs.append((name, opposite))
                paired |= {name, opposite}
    return pairs, [name for name in names if name not in paired]


def align(samples: np.ndarray, region: np.ndarray, rounds: int = 3) -> np.ndarray:
    """Bring samples (M, V, 3) to their mean by similarity on a region (generalised Procrustes).

    Without the scale, the first modes would be the size of the head: the code could then shrink a face instead of the
    camera moving away, and an unsupervised photometric loss does exactly that.
    """
    samples = samples.copy()
    for _ in range(rounds):
        reference = samples[:, region].mean(axis=0)
        target = reference - reference.mean(axis=0)
        for i, sample in enumerate(samples):
            centre = sample[region].mean(axis=0)
            source = sample[region] - centre
            u, singular, vt = np.linalg.svd(source.T @ target)
            sign = np.sign(np.linalg.det(u @ vt))
            u[:, -1] *= sign
            singular[-1] *= sign
            samples[i] = (sample - centre) @ (u @ vt) * (singular.sum() / np.square(source).sum())
            samples[i] += reference.mean(axis=0)
    return samples


def principal_components(samples: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Modes (V, 3, count) of samples (M, V, 3), scaled to one standard deviation, strongest first.

    `weights` (V,) say how much a vertex counts when the modes are chosen; all vertices follow them.
    """
    centred = (samples - samples.mean(axis=0)) * weights[:, None]
    _, singular, vt = np.linalg.svd(centred.reshape(len(samples), -1), full_matrices=False)
    modes = vt[:count] * (singular[:count, None] / np.sqrt(len(samples) - 1))
    return np.moveaxis(modes.reshape(count, -1, 3) / weights[:, None], 0, -1)
