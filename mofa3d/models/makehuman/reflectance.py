"""Reflectance modes: a pigment model of skin, lips, hair and eyes, in display RGB.

Skin color is a base times exp(-melanin·m - haemoglobin·h) in linear RGB, after Tsumura et al. 1999; m and h vary over
the face by region (lips, lids, cheeks, nose …) and by smooth random fields. Brows, beard, scalp and lashes are layers
of hair over it. The numbers were set by eye and by the colors of faces in photographs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg
import scipy.spatial

SAMPLE_COUNT = 700
FIELD_COUNT = 34
BASE = np.array([0.88, 0.66, 0.55])  # linear RGB of skin without pigment
MELANIN = np.array([0.34, 0.50, 0.62])
HAEMOGLOBIN = np.array([0.06, 0.42, 0.36])
TONES = (0.45, 0.86)  # display red of the darkest and lightest skin
HAIR = np.array([0.035, 0.022, 0.016])  # linear RGB of dark hair; fair hair is up to nine times lighter
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
        brow, thickness = [17, 18, 19, 20, 21], np.array([0.6, 0.9, 1.0, 1.1, 1.0])  # from the temple inwards
        mirrored = [26, 25, 24, 23, 22]
        self.brows = np.maximum(self._stroke(brow, 0.036 * thickness), self._stroke(mirrored, 0.036 * thickness))
        upper = np.maximum(self._stroke([36, 37, 38, 39], 0.024), self._stroke([42, 43, 44, 45], 0.024))
        lower = np.maximum(self._stroke([36, 41, 40, 39], 0.018), self._stroke([42, 47, 46, 45], 0.018))
        self.lashes = np.maximum(upper, 0.5 * lower) * ~surface.eyes
        self.nostrils = np.max([self._blob(points[i] + [0, 0.03, 0], 0.036) for i in (32, 34)], axis=0)
        self.slit = self._stroke([60, 61, 62, 63, 64], 0.018)
        self.cheeks = self._blob(points[[2, 31]].mean(axis=0), 0.17) + self._blob(points[[14, 35]].mean(axis=0), 0.17)
        self.nose = self._blob(points[30], 0.13)
        jaw = self._blob_line([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], 0.20)
        moustache = self._blob_line([48, 50, 52, 54], 0.07, (0, 0.05, 0))
        chin = self._blob((points[57] + points[8]) / 2, 0.16)
        self.beard = np.clip(jaw + moustache + chin, 0, 1) * (1 - lips) * np.clip((points[1, 1] - v[:, 1]) / 0.3, 0, 1)
        hairline = points[24, 1] + 0.72 - 0.35 * np.clip((1.2 - v[:, 2]) / 0.6, 0, 1.2)
        self.scalp = np.clip((v[:, 1] - hairline) / 0.2, 0, 1)
        self.lids = np.max([self._blob(eye.mean(axis=0), 0.12) for eye in (points[36:42], points[42:48])], axis=0)
        corners = [36, 39, 42, 45]
        self.sockets = np.max([self._blob(points[i], 0.045) for i in corners], axis=0)

    def _blob(self, centre: np.ndarray, width: float) -> np.ndarray:
        return np.exp(-np.square(self.surface.vertices - centre).sum(axis=1) / (2 * width**2))

    def _line(self, ids: list[int], shift: tuple[float, float, float] = (0, 0, 0)) -> tuple[np.ndarray, np.ndarray]:
        """Distance (N,) from a line through landmarks, and where on it (0 … len(ids) - 1) each vertex is nearest."""
        points, steps = self.surface.landmarks[ids] + shift, np.linspace(0, len(ids) - 1, 12 * (len(ids) - 1) + 1)
        line = np.stack([np.interp(steps, np.arange(len(ids)), points[:, axis]) for axis in range(3)], axis=1)
        nearest, index = scipy.spatial.cKDTree(line).query(self.surface.vertices)
        return nearest, steps[index]

    def _stroke(self, ids: list[int], width: float | np.ndarray) -> np.ndarray:
        """A line through landmarks with soft edges; `width` dm is one number or one per landmark."""
        distance, where = self._line(ids)
        return np.exp(-((distance / np.interp(where, np.arange(len(ids)), np.broadcast_to(width, len(ids)))) ** 4))

    def _blob_line(self, ids: list[int], width: float, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
        """A wide line through landmarks that fades like a Gaussian."""
        distance, _ = self._line(ids, shift)
        return np.exp(-np.square(distance) / (2 * width**2))

    def _field(self, random: np.random.Generator) -> np.ndarray:
        return self.fields @ (random.normal(size=self.fields.shape[1]) * self.field_weights)

    def sample(self, random: np.random.Generator) -> np.ndarray:
        """Display RGB (N, 3) in 0 to 1 of one random face."""
        # Even in display values, so that normal coefficients two deviations out are still skin.
        tone = random.uniform(*TONES)
        melanin = np.log(TONES[1] / tone) * GAMMA / MELANIN[0] * (1 + 0.06 * self._field(random)) + 0.15
        blood = random.normal(0.28, 0.12) + 0.05 * self._field(random)
        blood = blood + self.surface.lips * (0.80 + 0.25 * random.normal())
        blood = blood + self.surface.ears * 0.15 * abs(random.normal())
        blood = blood + self.cheeks * (0.15 + 0.12 * random.normal()) + self.nose * (0.10 + 0.10 * random.normal())
        melanin = melanin + self.surface.lips * (0.20 + 0.10 * random.normal())
        melanin = melanin + self.lids * (0.15 + 0.12 * abs(random.normal()))
        pigment = np.maximum(melanin, 0)[:, None] * MELANIN + np.maximum(blood, -0.2)[:, None] * HAEMOGLOBIN
        linear = BASE * np.exp(-pigment)
        # Fair hair comes with fair skin; light hair is yellower than dark.
        fair = random.beta(0.6, 1.6) * (tone - TONES[0]) / (TONES[1] - TONES[0])
        hair = HAIR * 9**fair * np.array([1.0, 1 - 0.1 * fair, 1 - 0.4 * fair])
        density = np.clip(random.normal([0.72, 0.12, 0.30, 0.70], [0.18, 0.28, 0.40, 0.12]), 0, 0.95)
        for amount, region in zip(density, (self.brows, self.beard, self.scalp, self.lashes), strict=True):
            linear = linear + (amount * region)[:, None] * (hair - linear)
        # The light model knows no occlusion, so what lies in holes is dark here.
        linear *= (1 - 0.85 * self.nostrils - 0.6 * self.slit * ~self.surface.eyes)[:, None].clip(0.05, 1)
        linear[self.surface.mouth] = np.array([0.06, 0.02, 0.02]) * random.uniform(0.6, 1.4)
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
            colors = np.broadcast_to(sclera, (eye.sum(), 3)).copy()
            colors[front & (radius < IRIS_RADIUS)] = iris
            colors[front & (radius < PUPIL_RADIUS)] = 0.01
            lid_shadow = np.clip((local[:, 1] - 0.015) / 0.05, 0, 1)[:, None]  # the upper lid and its lashes
            linear[eye] = colors * (1 - 0.6 * lid_shadow)


def reflectance_modes(surface: Surface, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean (N, 3) and modes (N, 3, count) of random faces, scaled to one standard deviation, strongest first."""
    sampler = PigmentSampler(surface)
    samples = np.stack([sampler.sample(random) for _ in range(SAMPLE_COUNT)]).astype(np.float32)
    mean = samples.mean(axis=0)
    flat = (samples - mean).reshape(SAMPLE_COUNT, -1)
    _, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    modes = vectors[:, ::-1][:, :count].T @ flat / np.sqrt(SAMPLE_COUNT - 1)
    return mean, np.moveaxis(modes.reshape(count, -1, 3), 0, -1)
