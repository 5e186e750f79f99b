"""Find a texture layout for a model: charts of its own UV map where that is sound, box projections elsewhere.

A model has one texture coordinate per vertex, so triangles across a seam of the UV map stretch from one island to
another, and refined maps fold near seams. Both are found here by the Jacobian of the map from surface to texture, and
what a fold lays upon another part by the middles of triangles. What is left falls into charts, which keep their shape;
the other triangles are grouped by the axis they face and projected along it. All charts then get one number of texels
per millimetre, but for what lies away from the face (`mofa3d.export.texture_room`), and are packed side by side.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from mofa3d.export.texture_layout import TextureLayout
from mofa3d.export.texture_packing import pack
from mofa3d.export.texture_room import room_for_front
from mofa3d.morphable_model import MorphableModel

STRETCH = 4.0  # times the typical scale of the UV map, beyond which a triangle lies across a seam
SQUASH = 10.0  # times smaller than typical, below which a triangle has too little of the texture
FEWEST = 100  # triangles of a chart that is worth keeping as the model has it
NEIGHBOURS = 16  # triangles that are looked at for one that lies upon another
GUTTER = 0.004  # of the texture's side between charts: 4 texels at 1024, enough for two levels of a mipmap


def lay_out(model: MorphableModel) -> TextureLayout:
    """Lay a model's triangles out in a texture, the face without stretch, and no part folded or upon another.

    A model without texture coordinates is laid out by box projections alone.
    """
    vertices, faces = model.mean_shape.double().cpu().numpy(), model.faces.cpu().numpy()
    chart, corners = np.full(len(faces), -1), np.zeros((len(faces), 3, 2))
    if model.uv is not None:
        chart, corners = _own_charts(vertices, faces, model.uv.double().cpu().numpy())
    chart, corners = _with_boxes(vertices, faces, chart, corners)
    front = model.frontal.cpu().numpy()[faces].all(axis=1)
    corners = pack(room_for_front(_in_millimetres(vertices[faces], corners, chart), chart, front), chart, GUTTER)
    # A vertex of the layout is a vertex of the model in one chart.
    key = chart[:, None] * len(vertices) + faces
    keys, first, index = np.unique(key, return_index=True, return_inverse=True)
    return TextureLayout(
        source=torch.from_numpy(keys % len(vertices)),
        uv=torch.from_numpy(corners.reshape(-1, 2)[first].astype(np.float32)),
        faces=torch.from_numpy(index.reshape(-1, 3)),
    )


def _own_charts(
    vertices: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"], uv: Float[np.ndarray, "N 2"]
) -> tuple[Int[np.ndarray, "F"], Float[np.ndarray, "F 3 2"]]:
    """Charts of the model's own map, -1 where it is not sound, and the corners' coordinates."""
    small, large, area = _jacobian(vertices[faces], uv[faces])
    typical = np.sqrt(np.median(small * large))
    sound = (large < STRETCH * typical) & (small > typical / SQUASH)
    chart = np.full(len(faces), -1)
    count = 0
    for positive in (True, False):  # islands may be mirrored, but a chart is not partly so
        chosen = np.flatnonzero(sound & ((area > 0) == positive))
        if len(chosen) == 0:
            continue
        folded = _overlapping(uv[faces[chosen]], _components(faces[chosen]))
        chosen = chosen[~folded]
        label = _components(faces[chosen])
        sizes = np.bincount(label)
        kept = sizes[label] >= FEWEST
        _, label = np.unique(label[kept], return_inverse=True)
        chart[chosen[kept]] = count + label
        count = chart.max() + 1
    corners = uv[faces].copy()
    corners[area < 0, :, 0] *= -1
    for number in range(count):
        chosen = chart == number
        corners[chosen] = _upright(vertices[faces[chosen]], corners[chosen])
    return chart, corners


def _with_boxes(
    vertices: Float[np.ndarray, "N 3"],
    faces: Int[np.ndarray, "F 3"],
    chart: Int[np.ndarray, "F"],
    corners: Float[np.ndarray, "F 3 2"],
) -> tuple[Int[np.ndarray, "F"], Float[np.ndarray, "F 3 2"]]:
    """Give the triangles without a chart one: connected ones that face the same of six ways, projected along it."""
    chart, corners = chart.copy(), corners.copy()
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    normal = np.cross(b - a, c - a)
    axis = np.abs(normal).argmax(axis=1)
    side = np.take_along_axis(normal, axis[:, None], axis=1)[:, 0] >= 0
    # Seen from outside with the first coordinate to the right and the second up.
    right, up = np.array([2, 0, 0])[axis], np.array([1, 2, 1])[axis]
    sign = np.where(side, 1, -1) * np.array([-1, -1, 1])[axis]
    for way in range(6):
        chosen = np.flatnonzero((chart < 0) & (2 * axis + side == way))
        if len(chosen):
            label = _components(faces[chosen])
            points = vertices[faces[chosen]]
            first, second = right[chosen[0]], up[chosen[0]]
            corners[chosen] = np.stack([sign[chosen[0]] * points[..., first], points[..., second]], axis=-1)
            chart[chosen] = chart.max() + 1 + label
    return chart, corners


def _components(faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, "F"]:
    """Number of the part that each triangle belongs to; triangles are connected by common edges."""
    if len(faces) == 0:
        return np.zeros(0, dtype=int)
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edge = np.unique(edges, axis=0, return_inverse=True)[1].ravel()
    touches = sparse.csr_matrix((np.ones(len(edge)), (np.repeat(np.arange(len(faces)), 3), edge)))
    return connected_components(touches @ touches.T, directed=False)[1]


def _overlapping(corners: Float[np.ndarray, "F 3 2"], label: Int[np.ndarray, "F"]) -> Bool[np.ndarray, "F"]:
    """Which triangles of a map share their place with another one of the same part, as far as middles tell."""
    middle = corners.mean(axis=1)
    near = cKDTree(middle).query(middle, k=min(NEIGHBOURS, len(middle)))[1].reshape(len(middle), -1)
    a, b, c = np.moveaxis(corners[near], 2, 0)
    point = middle[:, None]

    def turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
        along, across = end - start, point - start
        return along[..., 0] * across[..., 1] - along[..., 1] * across[..., 0]

    turns = np.stack([turn(a, b), turn(b, c), turn(c, a)])
    inside = (turns > 0).all(axis=0) | (turns < 0).all(axis=0)
    inside &= (near != np.arange(len(near))[:, None]) & (label[near] == label[:, None])
    result = inside.any(axis=1)
    result[near[inside]] = True
    return result


def _jacobian(
    surface: Float[np.ndarray, "F 3 3"], texture: Float[np.ndarray, "F 3 2"]
) -> tuple[Float[np.ndarray, "F"], Float[np.ndarray, "F"], Float[np.ndarray, "F"]]:
    """Least and greatest stretch of the map from each triangle to the texture, and its determinant."""
    first, second = surface[:, 1] - surface[:, 0], surface[:, 2] - surface[:, 0]
    base = np.linalg.norm(first, axis=1, keepdims=True)
    along = (first * second).sum(axis=1, keepdims=True) / base
    height = np.linalg.norm(second - along * first / base, axis=1, keepdims=True)
    du = (texture[:, 1] - texture[:, 0]) / base
    dv = (texture[:, 2] - texture[:, 0] - along * du) / height
    jacobian = np.stack([du, dv], axis=-1)
    stretch = np.linalg.svd(jacobian, compute_uv=False)
    return stretch[:, 1], stretch[:, 0], np.linalg.det(jacobian)


def _upright(surface: Float[np.ndarray, "F 3 3"], texture: Float[np.ndarray, "F 3 2"]) -> Float[np.ndarray, "F 3 2"]:
    """Turn a chart by whole right angles until the model's +Y points up as well as it can."""
    points, coordinates = surface.reshape(-1, 3), texture.reshape(-1, 2)
    slope = np.linalg.lstsq(points - points.mean(axis=0), coordinates - coordinates.mean(axis=0), rcond=None)[0]
    u, v = slope[1]
    turn = [texture, np.stack([-texture[..., 1], texture[..., 0]], axis=-1), -texture]
    turn.append(-turn[1])
    return turn[int(np.argmax([v, u, -v, -u]))]


def _in_millimetres(
    surface: Float[np.ndarray, "F 3 3"], corners: Float[np.ndarray, "F 3 2"], chart: Int[np.ndarray, "F"]
) -> Float[np.ndarray, "F 3 2"]:
    """Scale each chart to the area of its triangles on the surface."""
    first, second = surface[:, 1] - surface[:, 0], surface[:, 2] - surface[:, 0]
    area = np.bincount(chart, np.linalg.norm(np.cross(first, second), axis=1))
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    own = np.bincount(chart, np.abs(ax * by - ay * bx))
    # A chart without area stays as it is.
    return corners * np.sqrt(np.divide(area, own, out=np.ones_like(own), where=own > 0))[chart][:, None, None]
