"""The morphable model: from coefficients to geometry and reflectance, for face models of any source."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError
from mofa3d.files.given import read_tensors
from mofa3d.files.whole import write_tensors
from mofa3d.semantic_code import CodeSizes


def _mouth(model: MorphableModel) -> Bool[Tensor, "N 1"]:
    """The inside of the mouth."""
    return (~model.frontal & (model.mean_reflectance.amax(dim=1) < DARK))[:, None]


DARK = 0.35  # brightest channel of the inside of the mouth, which photographs hardly show: it stays as it was


LANDMARK_COUNT = 68
LARGEST = 1e6  # of any number of a model: mm, or colors
# Of the parts: None stands for the number of vertices, -1 for any.
SHAPES = {
    "mean_shape": (None, 3),
    "shape_basis": (None, 3, -1),
    "expression_basis": (None, 3, -1),
    "mean_reflectance": (None, 3),
    "reflectance_basis": (None, 3, -1),
    "faces": (-1, 3),
    "landmark_faces": (LANDMARK_COUNT,),
    "landmark_weights": (LANDMARK_COUNT, 3),
    "frontal": (None,),
}
KINDS = {"faces": torch.int64, "landmark_faces": torch.int64, "frontal": torch.bool}  # the others are real numbers


class LandmarkBarycentric(NamedTuple):
    """The 68 iBUG points on the surface: an index into `faces` and three weights each."""

    faces: Int[Tensor, "68"]
    weights: Float[Tensor, "68 3"]


class MorphableModel(nn.Module):
    """A linear face model: mean and bases of geometry (mm) and reflectance (display RGB, 0 to 1).

    The columns of the bases are scaled by their standard deviations, so coefficients are about N(0, 1) (Tewari et al.
    2017, Sec. 4, Eqs. 2 and 3). Everything is a buffer; nothing is trained.

    Args:
        mean_shape: (N, 3) mm, in the model space of `mofa3d.camera`.
        shape_basis: (N, 3, S) mm per standard deviation.
        expression_basis: (N, 3, E) mm per standard deviation.
        mean_reflectance: (N, 3).
        reflectance_basis: (N, 3, R) per standard deviation.
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.
        landmark_barycentric: the 68 iBUG points.
        frontal: (N,) the region that the photometric loss uses.
        uv: (N, 2) texture coordinates in 0 to 1, origin at the bottom left, or ``None``.
        name: name of the source.

    Raises:
        InputError: shapes do not match, or indices are out of range.
    """

    mean_shape: Float[Tensor, "N 3"]
    shape_basis: Float[Tensor, "N 3 S"]
    expression_basis: Float[Tensor, "N 3 E"]
    mean_reflectance: Float[Tensor, "N 3"]
    reflectance_basis: Float[Tensor, "N 3 R"]
    faces: Int[Tensor, "F 3"]
    landmark_faces: Int[Tensor, "68"]
    landmark_weights: Float[Tensor, "68 3"]
    frontal: Bool[Tensor, "N"]
    uv: Float[Tensor, "N 2"] | None

    def __init__(
        self,
        *,
        mean_shape: Float[Tensor, "N 3"],
        shape_basis: Float[Tensor, "N 3 S"],
        expression_basis: Float[Tensor, "N 3 E"],
        mean_reflectance: Float[Tensor, "N 3"],
        reflectance_basis: Float[Tensor, "N 3 R"],
        faces: Int[Tensor, "F 3"],
        landmark_barycentric: LandmarkBarycentric,
        frontal: Bool[Tensor, "N"],
        uv: Float[Tensor, "N 2"] | None = None,
        name: str = "",
    ) -> None:
        super().__init__()
        count = len(mean_shape)
        for label, tensor in {
            "shape_basis": shape_basis,
            "expression_basis": expression_basis,
            "mean_reflectance": mean_reflectance,
            "reflectance_basis": reflectance_basis,
            "frontal": frontal,
            "uv": uv,
        }.items():
            if tensor is not None and len(tensor) != count:
                raise InputError(f"{label} has {len(tensor)} vertices, mean_shape has {count}")
        if len(faces) and not 0 <= int(faces.min()) <= int(faces.max()) < count:
            raise InputError(f"faces index vertices {int(faces.min())} to {int(faces.max())}, the model has {count}")
        self.name = name
        self.register_buffer("mean_shape", mean_shape)
        self.register_buffer("shape_basis", shape_basis)
        self.register_buffer("expression_basis", expression_basis)
        self.register_buffer("mean_reflectance", mean_reflectance)
        self.register_buffer("reflectance_basis", reflectance_basis)
        self.register_buffer("faces", faces.long())
        self.register_buffer("landmark_faces", landmark_barycentric.faces.long())
        self.register_buffer("landmark_weights", landmark_barycentric.weights)
        self.register_buffer("frontal", frontal)
        self.register_buffer("uv", uv)

    @property
    def sizes(self) -> CodeSizes:
        return CodeSizes(self.shape_basis.shape[2], self.expression_basis.shape[2], self.reflectance_basis.shape[2])

    @property
    def landmark_barycentric(self) -> LandmarkBarycentric:
        return LandmarkBarycentric(self.landmark_faces, self.landmark_weights)

    def geometry(self, shape: Float[Tensor, "B S"], expression: Float[Tensor, "B E"]) -> Float[Tensor, "B N 3"]:
        """Vertices in model space, mm (Eq. 2)."""
        return _combine(self.mean_shape, self.shape_basis, shape) + _combine(None, self.expression_basis, expression)

    def reflectance(self, code: Float[Tensor, "B R"]) -> Float[Tensor, "B N 3"]:
        """Reflectance per vertex, display RGB, not clamped (Eq. 3)."""
        return _combine(self.mean_reflectance, self.reflectance_basis, code)

    def landmarks(self, vertices: Float[Tensor, "B N C"]) -> Float[Tensor, "B 68 C"]:
        """The 68 iBUG points of vertices given in any space that is affine to model space."""
        corners = vertices[:, self.faces[self.landmark_faces]]
        return (corners * self.landmark_weights[..., None]).sum(dim=2)

    def at_landmarks(self, values: Float[Tensor, "N *D"]) -> Float[Tensor, "68 *D"]:
        """What any values of the vertices, as a basis, are at the 68 iBUG points, in the values' type."""
        weights = self.landmark_weights.to(values.dtype)
        return torch.einsum("lk,lk...->l...", weights, values[self.faces[self.landmark_faces]])

    def restrict(self, keep: Bool[Tensor, "N"]) -> MorphableModel:
        """The part of the model on the kept vertices, their one-ring and the landmarks' triangles.

        Normals of the kept vertices equal those of the whole model because their one-ring comes along; only kept
        vertices stay `frontal`. So the photometric loss of ``restrict(frontal)`` equals the whole model's.
        """
        wanted = keep[self.faces].any(dim=1)
        wanted[self.landmark_faces] = True
        used = torch.zeros_like(keep)
        used[self.faces[wanted].flatten()] = True
        new_vertex, new_face = used.cumsum(0) - 1, wanted.cumsum(0) - 1
        return MorphableModel(
            mean_shape=self.mean_shape[used],
            shape_basis=self.shape_basis[used],
            expression_basis=self.expression_basis[used],
            mean_reflectance=self.mean_reflectance[used],
            reflectance_basis=self.reflectance_basis[used],
            faces=new_vertex[self.faces[wanted]],
            landmark_barycentric=LandmarkBarycentric(new_face[self.landmark_faces], self.landmark_weights),
            frontal=(self.frontal & keep)[used],
            uv=None if self.uv is None else self.uv[used],
            name=self.name,
        )

    def with_reflectance(
        self, mean: Float[Tensor, "N 3"], basis: Float[Tensor, "N 3 R"], name: str | None = None
    ) -> MorphableModel:
        """The same geometry with another reflectance.

        Args:
            mean: display RGB.
            basis: per standard deviation.
            name: of the new model; by default the same.
        """
        return MorphableModel(
            mean_shape=self.mean_shape,
            shape_basis=self.shape_basis,
            expression_basis=self.expression_basis,
            mean_reflectance=mean,
            reflectance_basis=basis,
            faces=self.faces,
            landmark_barycentric=self.landmark_barycentric,
            frontal=self.frontal,
            uv=self.uv,
            name=self.name if name is None else name,
        )

    @plain_settings()
    def fingerprint(self) -> str:
        """A short hash of the model; a checkpoint trained for it refuses another.

        A model that is built on another processor differs in the last bits, which an encoder does not mind: of real
        numbers, sums with pseudo-random signs are hashed, rounded to a five-hundredth of their typical size.
        """
        digest = hashlib.sha256()
        for key, tensor in sorted(self.state_dict().items()):
            digest.update(f"{key}{tuple(tensor.shape)}".encode())
            values = _signed_sums(tensor.cpu()) if tensor.is_floating_point() else tensor.cpu().contiguous()
            digest.update(values.numpy().tobytes())
        return digest.hexdigest()[:16]


def _signed_sums(tensor: Tensor, width: int = 4096, groups: int = 16, step: float = 2e-3) -> Tensor:
    """Sums of parts of a tensor with pseudo-random signs, in whole steps of their typical size."""
    values = tensor.flatten()
    rows = nn.functional.pad(values, (0, -len(values) % width)).unflatten(0, (-1, width))
    columns = (_signs(len(rows)) @ rows).double() * _signs(width)
    size = float(torch.linalg.vector_norm(values.double()))
    # The size is hashed too: a tensor times two is another tensor.
    parts = columns.unflatten(0, (groups, -1)).sum(dim=1) * (groups**0.5 / step / (size or 1.0))
    return torch.cat([parts, torch.tensor([math.log(size or 1.0) / step], dtype=torch.float32)]).round().long()


def _signs(count: int) -> Float[Tensor, "K"]:
    """Pseudo-random 1 and -1, by multiplicative hashing."""
    return (1 - 2 * (torch.arange(count) * 2654435761 >> 20 & 1)).float()


def _combine(mean: Tensor | None, basis: Tensor, code: Tensor) -> Tensor:
    """mean + basis · code with the basis as one (3N, K) matrix, so that it is read once for the whole batch."""
    flat = nn.functional.linear(code, basis.flatten(0, 1), None if mean is None else mean.flatten())
    return flat.unflatten(1, (-1, 3))


def check_content(tensors: Mapping[str, Tensor]) -> None:
    """Refuse anything but a face model: parts of wrong shape or type, NaN or infinity, indices out of range.

    Args:
        tensors: as `MorphableModel.state_dict` names them.

    Raises:
        InputError: naming the part.
    """
    count = len(tensors["mean_shape"]) if "mean_shape" in tensors and tensors["mean_shape"].ndim else 0
    unknown, missing = tensors.keys() - SHAPES.keys() - {"uv"}, SHAPES.keys() - tensors.keys()
    if unknown or missing:
        raise InputError(f"it has {sorted(unknown)} and lacks {sorted(missing)}")
    for name, shape in {**SHAPES, "uv": (None, 2)}.items():
        value = tensors.get(name)
        if value is None:
            continue
        expected = tuple(count if length is None else length for length in shape)
        fits = len(value.shape) == len(expected) and all(
            wanted in (length, -1) for length, wanted in zip(value.shape, expected, strict=True)
        )
        kind = KINDS.get(name)
        if not count or not fits or not (value.is_floating_point() if kind is None else value.dtype == kind):
            raise InputError(f"{name} is {value.dtype} of the shape {tuple(value.shape)} for {count} vertices")
        if kind is None and value.dtype != tensors["mean_shape"].dtype:
            raise InputError(f"{name} is {value.dtype}, and mean_shape is {tensors['mean_shape'].dtype}")
        if kind is None and not bool((value.abs() <= LARGEST).all()):  # which NaN is not either
            raise InputError(f"{name} has values that are NaN, infinite or beyond ±{LARGEST:g}")
    if not len(tensors["faces"]):
        raise InputError("it has no triangle")
    for name, length in (("faces", count), ("landmark_faces", len(tensors["faces"]))):
        low, high = int(tensors[name].min()), int(tensors[name].max())
        if not 0 <= low <= high < length:
            raise InputError(f"{name} has indices from {low} to {high}, expected 0 to {length - 1}")


def save_model(model: MorphableModel, path: str | Path) -> None:
    """Write a model to a ``.safetensors`` file, atomically: readers see the old file or the complete new one."""
    path = Path(path)
    write_tensors(path, model.state_dict(), {"mofa3d": json.dumps({"name": model.name})})


def read_model(path: str | Path) -> MorphableModel:
    """Read what `save_model` wrote.

    Raises:
        InputError: the file is missing, damaged, or not a morphable model.
    """
    path = Path(path)
    try:
        tensors, metadata = read_tensors(path)
        name = json.loads(metadata["mofa3d"])["name"]
        check_content(tensors)
        landmarks = LandmarkBarycentric(tensors.pop("landmark_faces"), tensors.pop("landmark_weights"))
        return MorphableModel(**tensors, landmark_barycentric=landmarks, name=str(name))
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # of json
        raise InputError(f"{path} is not a mofa3d model file ({error}); delete it and make it again") from error
