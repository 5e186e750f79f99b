"""The explicit Jacobian of a photograph's residuals with respect to the whole code.

A vertex's residual is what it shows minus what the photograph shows at its pixel, r_i = c_i - I(u_i). Geometry, pose,
reflectance and light move the color c_i (through the normal and Eq. 3), geometry and pose also the pixel u_i (through
the projection and the image's gradient). Each derivative is a 3 × 3 matrix per vertex, or per vertex and neighbour
because a normal depends on the ring around it, times rows of the model's bases; nothing is left out but visibility.

Reference: Tewari et al. 2017, Eq. 6.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from pytorch3d.transforms import axis_angle_to_matrix
from torch import Tensor

from mofa3d import harmonics
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.fitting import jacobian_numba
from mofa3d.kernels import parallel
from mofa3d.kernels.rotations import right_jacobians
from mofa3d.morphable_model import MorphableModel
from mofa3d.scene import Scene


class SampledFace:
    """Some frontal vertices of a model and everything around them that their Jacobian needs.

    Args:
        model: the morphable model.
        camera: what sees it.
        every: one in how many frontal vertices; 1 takes all.

    Attributes:
        decode: of the restricted model: the S sampled vertices, their one-ring and the landmarks' triangles.
        vertices: (S,) the sampled ones among its vertices.
    """

    def __init__(self, model: MorphableModel, camera: Camera, every: int = 1) -> None:
        keep = torch.zeros_like(model.frontal)
        keep[model.frontal.nonzero().flatten()[::every]] = True
        part = model.restrict(keep)
        self.decode = Decoder(part, camera)
        self.vertices = part.frontal.nonzero().flatten()
        self.geometry_basis = torch.cat([part.shape_basis, part.expression_basis], dim=2).contiguous()
        self.reflectance_basis = part.reflectance_basis[self.vertices].contiguous()
        self.ring = Ring.of(part.faces, self.vertices)
        self.landmark_basis = part.at_landmarks(self.geometry_basis)


class Ring(NamedTuple):
    """Which vertices a sampled vertex's normal depends on: itself, which comes first, and its neighbours.

    The sum of the face normals around vertex i changes by Σ_j e_ij × dv_j, where e_ij is the sum, over the faces of i
    that have the corner j, of the edge opposite to j. All pairs (i, j) are listed one vertex i after the other.

    Attributes:
        starts: (S + 1,) where each vertex's pairs start.
        owners: (P,) i, as a number among the sampled vertices.
        neighbours: (P,) j, as a number among all vertices.
        pair, tail, head: (C,) for every corner of every face around a vertex, its pair and its opposite edge.
    """

    starts: Int[Tensor, "S1"]
    owners: Int[Tensor, "P"]
    neighbours: Int[Tensor, "P"]
    pair: Int[Tensor, "C"]
    tail: Int[Tensor, "C"]
    head: Int[Tensor, "C"]

    @classmethod
    def of(cls, faces: Int[Tensor, "F 3"], vertices: Int[Tensor, "S"]) -> Ring:
        """The rings of some vertices of a mesh."""
        count = int(faces.max()) + 1
        place = torch.full((count,), -1, dtype=torch.long)
        place[vertices] = torch.arange(len(vertices))
        parts: tuple[list[Tensor], ...] = ([], [], [], [])  # owner, corner, tail and head
        for hub in range(3):
            around = faces[place[faces[:, hub]] >= 0]
            for k in range(3):
                columns = place[around[:, hub]], around[:, k], around[:, (k + 1) % 3], around[:, (k + 2) % 3]
                for part, column in zip(parts, columns, strict=True):
                    part.append(column)
        owner, corner, tail, head = map(torch.cat, parts)
        # A vertex sorts before its neighbours.
        rank = torch.where(corner == vertices[owner], 0, corner + 1)
        pairs, pair = torch.unique(owner * (count + 1) + rank, return_inverse=True)
        owners, ranks = pairs // (count + 1), pairs % (count + 1)
        neighbours = torch.where(ranks == 0, vertices[owners], ranks - 1)
        starts = torch.zeros(len(vertices) + 1, dtype=torch.long)
        starts[1:] = torch.bincount(owners, minlength=len(vertices)).cumsum(0)
        return cls(starts, owners, neighbours, pair, tail, head)

    def edges(self, positions: Float[Tensor, "N 3"]) -> Float[Tensor, "P 3"]:
        """e_ij of every pair."""
        edges = positions.new_zeros(len(self.owners), 3)
        return edges.index_add_(0, self.pair, positions[self.head] - positions[self.tail])


class Samples(NamedTuple):
    """A photograph at some pixels.

    Attributes:
        colors: (S, 3) bilinear, as `mofa3d.camera.sample`.
        gradients: (S, 3, 2) per pixel, the derivative of exactly that; 0 across the border, which extends outwards.
    """

    colors: Float[Tensor, "S 3"]
    gradients: Float[Tensor, "S 3 2"]


def sample(image: Float[Tensor, "H W 3"], pixels: Float[Tensor, "S 2"]) -> Samples:
    """Sample a photograph and its gradient at pixel positions (top-left pixel centre at 0.5)."""
    height, width, _ = image.shape
    most = pixels.new_tensor([width - 1, height - 1])
    place = (pixels - 0.5).minimum(most).clamp_min(0)
    corner = place.floor().minimum(most - 1).clamp_min(0)
    (x, y), (column, row) = (place - corner)[..., None].unbind(1), corner.long().unbind(1)
    start = row * width + column
    right, down = min(1, width - 1), min(1, height - 1) * width
    flat = image.reshape(-1, 3)
    top, top_right = flat[start], flat[start + right]
    low, low_right = flat[start + down], flat[start + down + right]
    upper, lower = top + x * (top_right - top), low + x * (low_right - low)
    along_x = (top_right - top) + y * ((low_right - low) - (top_right - top))
    moves = (place == pixels - 0.5).to(pixels)
    gradients = torch.stack([along_x, lower - upper], dim=2) * moves[:, None]
    return Samples(upper + y * (lower - upper), gradients)


class VertexDerivatives(NamedTuple):
    """The small matrices from which a photograph's Jacobian is made, for S sampled vertices and P pairs of their rings.

    Attributes:
        geometry: (P, 3, 3) of the residual of i with respect to vertex j in model space, per mm.
        turn: (S, 3, 3) with respect to the axis-angle rotation.
        shift: (S, 3, 3) with respect to the translation.
        irradiance: (S, 3) of the color with respect to the reflectance.
        reflectance: (S, 3) of the color with respect to the irradiance.
        light: (S, 9) of the irradiance with respect to the light's coefficients.
    """

    geometry: Float[Tensor, "P 3 3"]
    turn: Float[Tensor, "S 3 3"]
    shift: Float[Tensor, "S 3 3"]
    irradiance: Float[Tensor, "S 3"]
    reflectance: Float[Tensor, "S 3"]
    light: Float[Tensor, "S 9"]


def vertex_derivatives(face: SampledFace, scene: Scene, gradients: Float[Tensor, "S 3 2"]) -> VertexDerivatives:
    """Differentiate the residuals of one face.

    Args:
        face: the sampled vertices.
        scene: what `face.decode` made of a batch of one code.
        gradients: of the photograph, per pixel of the scene's camera, at the sampled vertices.
    """
    positions, normals = scene.positions[0], scene.normals[0, face.vertices]
    reflectance = scene.reflectance[0, face.vertices]
    light = scene.illumination[0]
    to_camera = axis_angle_to_matrix(scene.rotation)[0].T
    irradiance = harmonics.irradiance(normals[None], scene.illumination)[0]
    shading = reflectance[..., None] * (light.T @ harmonics.basis_gradient(normals))
    own = positions[face.vertices]
    movement = -gradients @ scene.camera.projection_jacobian(own)

    ring = face.ring
    edges = ring.edges(positions)
    # The sum of face normals is quadratic in the vertices, so half its derivative times them (Euler) is itself.
    sums = torch.zeros_like(own).index_add_(
        0, ring.owners, torch.linalg.cross(edges, positions[ring.neighbours] - own[ring.owners])
    )
    lengths = torch.linalg.vector_norm(sums, dim=1).clamp_min(1e-12)[:, None, None] / 2
    through_normal = (shading - (shading @ normals[..., None]) * normals[:, None]) / lengths
    pairs = torch.linalg.cross(through_normal[ring.owners], edges[:, None].expand(-1, 3, -1))
    pairs[ring.starts[:-1]] += movement
    turned = torch.linalg.cross(movement, own[:, None].expand(-1, 3, -1))
    turned += torch.linalg.cross(shading, normals[:, None].expand(-1, 3, -1))
    return VertexDerivatives(
        geometry=pairs @ to_camera,
        turn=turned @ right_jacobian(scene.rotation[0]),
        shift=-movement @ to_camera,
        irradiance=irradiance,
        reflectance=reflectance,
        light=harmonics.basis(normals),
    )


def photometric_rows(
    face: SampledFace,
    derivatives: VertexDerivatives,
    chosen: Int[Tensor, "V"],
    factors: Float[Tensor, "V"],
) -> Float[Tensor, "V3 D"]:
    """The Jacobian of the residuals of some sampled vertices, three rows each, times a factor per vertex."""
    arrays = [value.numpy() for value in (face.ring.starts, face.ring.neighbours)]
    arrays += [value.contiguous().numpy() for value in (face.geometry_basis, face.reflectance_basis, *derivatives)]
    rows = torch.empty(3 * len(chosen), face.decode.model.sizes.total, dtype=factors.dtype)
    everything = [value.numpy() for value in (rows, chosen, factors)]

    def part(first: int, end: int) -> None:
        block, *lists = everything
        jacobian_numba.fill(block[3 * first : 3 * end], *(values[first:end] for values in lists), *arrays)

    parallel.run(part, parallel.split_rows(len(chosen), 1))
    return rows


def landmark_rows(face: SampledFace, scene: Scene) -> Float[Tensor, "68 2 D"]:
    """The Jacobian of the pixels (x, y) of the 68 landmarks of a batch of one code."""
    points = face.decode.model.landmarks(scene.positions)[0]
    to_camera = axis_angle_to_matrix(scene.rotation)[0].T
    projection = scene.camera.projection_jacobian(points)
    turned = torch.linalg.cross(projection, points[:, None].expand(-1, 2, -1))
    sizes = face.decode.model.sizes
    where = sizes.slices
    rows = points.new_zeros(len(points), 2, sizes.total)
    rows[..., : sizes.shape + sizes.expression] = projection @ to_camera @ face.landmark_basis
    rows[..., where["rotation"]] = turned @ right_jacobian(scene.rotation[0])
    rows[..., where["translation"]] = -projection @ to_camera
    return rows


def right_jacobian(rotation: Float[Tensor, "3"]) -> Float[Tensor, "3 3"]:
    """How a point turned by the inverse of an axis-angle rotation moves: d(R⁻¹v) = (R⁻¹v) × (J d rotation).

    See `mofa3d.kernels.rotations.right_jacobians`.
    """
    return torch.from_numpy(right_jacobians(rotation.detach().double().cpu().numpy()[None])[0]).to(rotation)
