"""Reflectance modes: a pigment model of skin, lips, hair and eyes, in display RGB.

Skin colour is a base times exp(-melanin·m - haemoglobin·h) in linear RGB, after Tsumura et al. 1999; m and h vary over the
face by region (brows, lips, lids, cheeks, beard …) and by smooth random fields. The numbers were set by eye and by the
colours of faces in photographs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg

SAMPLE_COUNT = 700
FIELD_COUNT = 34
BASE = np.array([0.88, 0.66, 0.55])  # linear RGB of skin without pigment
MELANIN = np.array([0.34, 0.58, 0.86])
HAEMOGLOBIN = np.array([0.06, 0.42, 0.36])
IRISES = np.array([[0.10, 0.05, 0.02], [0.25, 0.32, 0.38], [0.18, 0.22, 0.10]])
IRIS_RADIUS, PUPIL_RADIUS = 0.058, 0.026  # dm
GAMMA = 2.2


@dataclass(frozen=True)
class Surface:
    """The mean face as the pigments see it.

    Attributes:
        vertices: (N, 3) dm, +Z out of the face.
        triangles: (F, 3).
        landmarks: (68, 3) dm.
        eyes: (N,) bool, the eyeballs.
        mouth: (N,) bool, the inside of the mouth.
        lips, ears: (N,) masks, 0 to 1.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    landmarks: np.ndarray
    eyes: np.ndarray
    mouth: np.ndarray
    lips: np.ndarray
    ears: np.ndarray


def smooth_fields(triangles: np.ndarray, count: int, ignore: np.ndarray) -> np.ndarray:
    """The smoothest eigenvectors (N, count) of the graph Laplacian, unit standard deviation on the skin."""
    n = len(ignore)
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    graph = sparse.csr_matrix((np.ones(len(sides)), (sides[:, 0], sides[:, 1])), shape=(n, n))
    graph = ((graph + graph.T) > 0).astype(float)
    degree = sparse.diags(np.maximum(graph.sum(axis=1).A1, 1))
    start = np.random.default_rng(0).normal(size=n)  # the solver's own start is random, and so would be the signs
    values, vectors = sparse.linalg.eigsh(
        (degree - graph).tocsc() + 1e-8 * sparse.identity(n), k=count + 12, M=degree.tocsc(), sigma=-1e-6, v0=start
    )
    vectors = vectors[:, np.argsort(values)]
    vectors /= vectors[~ignore].std(axis=0) + 1e-9
    varying = np.ptp(vectors[~ignore], axis=0) > 1e-3  # eyeballs are components of their own, with constant vectors
    vectors = vectors[:, varying]
    return vectors[:, np.abs(vectors).max(axis=0) < 30][:, :count]


class PigmentSampler:
    """Random reflectances of one surface."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        v, points, lips = surface.vertices, surface.landmarks, surface.lips
        self.fields = smooth_fields(surface.triangles, FIELD_COUNT, surface.eyes | surface.mouth)
        self.field_weights = 1 / np.arange(1, self.fields.shape[1] + 1) ** 0.7
        left, right = list(range(17, 22)), list(range(22, 27))
        self.brows = np.maximum(self._stroke(left, 0.055, -0.03), self._stroke(right, 0.055, -0.03))
        upper = np.maximum(self._stroke([36, 37, 38, 39], 0.030), self._stroke([42, 43, 44, 45], 0.030))
        lower = np.maximum(self._stroke([36, 41, 40, 39], 0.022), self._stroke([42, 47, 46, 45], 0.022))
        self.lashes = np.maximum(upper, 0.5 * lower) * ~surface.eyes
        self.nostrils = np.maximum(self._blob(points[32] + [0, 0.02, 0], 0.055), self._blob(points[34] + [0, 0.02, 0], 0.055))
        self.slit = self._stroke([60, 61, 62, 63, 64], 0.022)
        self.cheeks = self._blob(points[[2, 31]].mean(axis=0), 0.17) + self._blob(points[[14, 35]].mean(axis=0), 0.17)
        self.nose = self._blob(points[30], 0.13)
        below_nose = np.clip((points[33, 1] - v[:, 1]) / 0.08, 0, 1)
        self.beard = below_nose * (1 - lips) * np.clip((v[:, 2] - 0.75) / 0.2, 0, 1)
        hairline = points[24, 1] + 0.72 - 0.35 * np.clip((1.2 - v[:, 2]) / 0.6, 0, 1.2)
        self.scalp = np.clip((v[:, 1] - hairline) / 0.12, 0, 1)
        self.lids = np.maximum(self._blob(points[36:42].mean(axis=0), 0.12), self._blob(points[42:48].mean(axis=0), 0.12))
        corners = [36, 39, 42, 45]
        self.sockets = np.max([self._blob(points[i], 0.045) for i in corners], axis=0)

    def _blob(self, centre: np.ndarray, width: float) -> np.ndarray:
        return np.exp(-np.square(self.surface.vertices - centre).sum(axis=1) / (2 * width**2))

    def _stroke(self, ids: list[int], width: float, shift: float = 0.0) -> np.ndarray:
        """A soft line through landmarks, `shift` dm above them."""
        points = self.surface.landmarks[ids] + [0, shift, 0]
        steps = np.linspace(0, 1, 12)[:, None]
        line = np.concatenate([a + (b - a) * steps for a, b in zip(points[:-1], points[1:], strict=True)])
        distance = np.sqrt(np.square(self.surface.vertices[:, None] - line).sum(axis=-1).min(axis=1))
        return np.exp(-((distance / width) ** 4))

    def _field(self, random: np.random.Generator) -> np.ndarray:
        return self.fields @ (random.normal(size=self.fields.shape[1]) * self.field_weights)

    def sample(self, random: np.random.Generator) -> np.ndarray:
        """Display RGB (N, 3) in 0 to 1 of one random face."""
        melanin = random.gamma(1.1, 0.75) * (1 + 0.06 * self._field(random))
        blood = random.normal(0.25, 0.12) + 0.05 * self._field(random)
        blood = blood + self.surface.lips * (0.75 + 0.2 * random.normal())
        blood = blood + self.surface.ears * 0.15 * abs(random.normal())
        blood = blood + self.cheeks * (0.15 + 0.12 * random.normal()) + self.nose * (0.10 + 0.10 * random.normal())
        melanin = melanin + self.surface.lips * (0.12 + 0.08 * random.normal())
        melanin = melanin + self.brows * max(0.2, random.normal(1.9, 0.9))
        melanin = melanin + self.lashes * max(0.2, random.normal(1.6, 0.5))
        melanin = melanin + self.lids * (0.10 + 0.10 * abs(random.normal()))
        melanin = melanin + self.beard * max(0, random.normal(0.1, 0.4)) + self.scalp * max(0, random.normal(0.5, 0.7))
        pigment = np.maximum(melanin, 0)[:, None] * MELANIN + np.maximum(blood, -0.2)[:, None] * HAEMOGLOBIN
        linear = BASE * np.exp(-pigment)
        # The light model knows no occlusion, so what lies in holes is dark here.
        linear *= (1 - 0.85 * self.nostrils - 0.6 * self.slit * ~self.surface.eyes)[:, None].clip(0.05, 1)
        linear[self.surface.mouth] = np.array([0.10, 0.03, 0.03]) * random.uniform(0.6, 1.4)
        self._paint_eyes(linear, random)
        linear *= (1 - 0.35 * self.sockets)[:, None]
        return np.clip(linear, 0, 1) ** (1 / GAMMA)

    def _paint_eyes(self, linear: np.ndarray, random: np.random.Generator) -> None:
        iris = IRISES[random.choice(3, p=[0.6, 0.25, 0.15])]
        sclera = random.normal(0.42, 0.05) * np.array([1.05, 0.98, 0.94])
        vertices = self.surface.vertices
        for side in (1, -1):
            eye = self.surface.eyes & (np.sign(vertices[:, 0]) == side)
            local = vertices[eye] - vertices[eye].mean(axis=0)
            radius, front = np.linalg.norm(local[:, :2], axis=1), local[:, 2] > 0
            colours = np.broadcast_to(sclera, (eye.sum(), 3)).copy()
            colours[front & (radius < IRIS_RADIUS)] = iris
            colours[front & (radius < PUPIL_RADIUS)] = 0.01
            lid_shadow = np.clip((local[:, 1] - 0.015) / 0.05, 0, 1)[:, None]  # the upper lid and its lashes
            linear[eye] = colours * (1 - 0.6 * lid_shadow)


def reflectance_modes(surface: Surface, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean (N, 3) and modes (N, 3, count) of random faces, scaled to one standard deviation, strongest first."""
    sampler = PigmentSampler(surface)
    samples = np.stack([sampler.sample(random) for _ in range(SAMPLE_COUNT)]).astype(np.float32)
    mean = samples.mean(axis=0)
    flat = (samples - mean).reshape(SAMPLE_COUNT, -1)
    _, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    modes = vectors[:, ::-1][:, :count].T @ flat / np.sqrt(SAMPLE_COUNT - 1)
    return mean, np.moveaxis(modes.reshape(count, -1, 3), 0, -1)
