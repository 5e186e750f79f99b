"""The paper's image formation and losses once more, in float64 loops that share nothing with the library.

One image at a time, NumPy only, written from the equations of Tewari et al. 2017 and the conventions of
`mofa3d.camera`. Slow and plain on purpose: the fast code is tested against it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

W_PHOTO, W_LAND, W_REG = 1.92, 1.0, 2.9e-5
SUPERVISED = [*range(7, 10), *range(17, 60)]  # 46 of 68 iBUG points

# Real spherical harmonics of bands 0 to 2 (Ramamoorthi and Hanrahan 2001, Eq. 3), in the order of the code.
Y00, Y1 = 0.28209479177387814, 0.4886025119029199
Y2_PRODUCT, Y20, Y22 = 1.0925484305920792, 0.31539156525252005, 0.5462742152960396
COSINE_FACTORS = (math.pi, 2 * math.pi / 3, math.pi / 4)


@dataclass
class Face:
    """A morphable model as float64 arrays."""

    mean_shape: np.ndarray
    shape_basis: np.ndarray
    expression_basis: np.ndarray
    mean_reflectance: np.ndarray
    reflectance_basis: np.ndarray
    faces: np.ndarray
    landmark_faces: np.ndarray
    landmark_weights: np.ndarray
    frontal: np.ndarray

    @classmethod
    def of(cls, model) -> Face:
        numbers = {name: buffer.numpy() for name, buffer in model.named_buffers() if name != "uv"}
        return cls(**{name: x.astype(float) if x.dtype.kind == "f" else x for name, x in numbers.items()})


@dataclass
class Picture:
    """What becomes of one code."""

    pixels: np.ndarray
    colors: np.ndarray
    visible: np.ndarray
    landmarks: np.ndarray


def split(x: np.ndarray, face: Face) -> dict[str, np.ndarray]:
    """Eq. 1: x = (α, δ, β, T, t, γ)."""
    blocks, start = {}, 0
    lengths = {
        "alpha": face.shape_basis.shape[2],
        "delta": face.expression_basis.shape[2],
        "beta": face.reflectance_basis.shape[2],
        "rotation": 3,
        "translation": 3,
        "gamma": 27,
    }
    for name, length in lengths.items():
        blocks[name] = x[start : start + length]
        start += length
    assert start == len(x)
    return blocks


def rotation_matrix(r: np.ndarray) -> np.ndarray:
    """Rodrigues' formula."""
    angle = math.sqrt(r[0] ** 2 + r[1] ** 2 + r[2] ** 2)
    if angle == 0:
        return np.eye(3)
    x, y, z = r / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Sum of the cross products of the faces around each vertex, then unit length."""
    points, sums = vertices.tolist(), [[0.0, 0.0, 0.0] for _ in vertices]
    for i, j, k in faces.tolist():
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = points[i], points[j], points[k]
        ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
        cross = (uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)
        for corner in (i, j, k):
            for axis in range(3):
                sums[corner][axis] += cross[axis]
    return np.array([[c / max(math.sqrt(x * x + y * y + z * z), 1e-12) for c in (x, y, z)] for x, y, z in sums])


def irradiance(normal: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Eq. 3 without the reflectance, for one normal; γ is (9, 3) and lacks the ambient 0.7."""
    x, y, z = normal
    plain = [
        Y00,
        Y1 * y,
        Y1 * z,
        Y1 * x,
        Y2_PRODUCT * x * y,
        Y2_PRODUCT * y * z,
        Y20 * (3 * z * z - 1),
        Y2_PRODUCT * x * z,
        Y22 * (x * x - y * y),
    ]
    result = np.zeros(3)
    for b, value in enumerate(plain):
        band = 0 if b == 0 else 1 if b < 4 else 2
        basis = value * COSINE_FACTORS[band] / (math.pi * Y00)
        for channel in range(3):
            result[channel] += basis * (gamma[b][channel] + (0.7 if b == 0 else 0.0))
    return result


def project(point: np.ndarray, size: int, rest: float = 1000.0) -> tuple[float, float]:
    """Π: a camera-space point to pixels."""
    focal = 1087.5 * size / 240
    depth = rest - point[2]
    return size / 2 + focal * point[0] / depth, size / 2 - focal * point[1] / depth


def render(x: np.ndarray, face: Face, size: int) -> Picture:
    """Code to projected, shaded vertices and landmarks."""
    code = split(x, face)
    # Eq. 2 and 3: linear in the code.
    vertices = face.mean_shape + face.shape_basis @ code["alpha"] + face.expression_basis @ code["delta"]
    reflectance = face.mean_reflectance + face.reflectance_basis @ code["beta"]
    inverse = np.linalg.inv(rotation_matrix(code["rotation"]))
    positions = np.array([inverse @ (vertex - code["translation"]) for vertex in vertices])
    normals = vertex_normals(positions, face.faces)
    gamma = code["gamma"].reshape(9, 3)
    camera = np.array([0.0, 0.0, 1000.0])
    landmarks = []
    for index, weights in zip(face.landmark_faces, face.landmark_weights, strict=True):
        point = sum(weights[k] * positions[face.faces[index, k]] for k in range(3))
        landmarks.append(project(point, size))
    return Picture(
        pixels=np.array([project(point, size) for point in positions]),
        colors=np.array([c * irradiance(n, gamma) for c, n in zip(reflectance, normals, strict=True)]),
        visible=np.array([n @ (camera - p) > 0 for n, p in zip(normals, positions, strict=True)]),
        landmarks=np.array(landmarks),
    )


def bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """Image (3, H, W) at a pixel position; pixel (row, column) has its centre at (column + 0.5, row + 0.5)."""
    _, height, width = image.shape
    left, top = math.floor(x - 0.5), math.floor(y - 0.5)
    right_share, bottom_share = x - 0.5 - left, y - 0.5 - top
    result = np.zeros(3)
    for row, row_share in ((top, 1 - bottom_share), (top + 1, bottom_share)):
        for column, column_share in ((left, 1 - right_share), (left + 1, right_share)):
            pixel = image[:, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            result += row_share * column_share * pixel
    return result


def photometric(picture: Picture, image: np.ndarray, face: Face, visible: np.ndarray) -> float:
    """Eq. 8 over the visible vertices of the frontal region that lie inside the image."""
    size, total = image.shape[1], 0.0
    for i in np.flatnonzero(visible & face.frontal):
        x, y = picture.pixels[i]
        if 0 <= x <= size and 0 <= y <= size:
            total += math.sqrt(np.sum((bilinear(image, x, y) - picture.colors[i]) ** 2))
    return total / np.count_nonzero(face.frontal)


def landmark(picture: Picture, detected: np.ndarray, confidence: np.ndarray, size: int) -> float:
    """Eq. 9 in units of half the image width."""
    total = 0.0
    for j in SUPERVISED:
        dx, dy = (picture.landmarks[j] - detected[j]) / (size / 2)
        total += confidence[j] * (dx * dx + dy * dy)
    return total


def regularizer(x: np.ndarray, face: Face) -> float:
    """Eq. 10."""
    code = split(x, face)
    return float(np.sum(code["alpha"] ** 2) + 1.7e-3 * np.sum(code["beta"] ** 2) + 0.8 * np.sum(code["delta"] ** 2))


def total_loss(
    x: np.ndarray, face: Face, image: np.ndarray, detected: np.ndarray, confidence: np.ndarray, visible: np.ndarray
) -> float:
    """Eq. 7 for a set of visible vertices that is given, as the gradient takes it."""
    size = image.shape[1]
    picture = render(x, face, size)
    return (
        W_PHOTO * photometric(picture, image, face, visible)
        + W_LAND * landmark(picture, detected, confidence, size)
        + W_REG * regularizer(x, face)
    )
