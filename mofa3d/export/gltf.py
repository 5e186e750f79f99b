"""Write a face as binary glTF 2.0 (GLB): metres, +Y up, the face looks along +Z.

The model's axes are glTF's own, so that only the unit changes. Colors of vertices are stored linear, textures as sRGB,
as glTF wants. The material is a rough dielectric, for the colors are reflectance, which a viewer has to light.

Reference: Khronos Group, glTF 2.0 Specification, 2021 (ISO/IEC 12113:2022).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pygltflib as gltf
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from mofa3d.errors import InputError
from mofa3d.export.texture_layout import TextureLayout
from mofa3d.files.whole import write_bytes
from mofa3d.files.whole_pictures import png_of
from mofa3d.kernels.normals import VertexNormals

if TYPE_CHECKING:
    from mofa3d.export.morph_packing import PackedVectors
    from mofa3d.export.morphs import MorphTargets, Movement

METRES = 1e-3  # per millimetre
ROUGHNESS = 0.6
GENERATOR = "mofa3d"
INTEGERS = {
    "int8": gltf.BYTE,
    "int16": gltf.SHORT,
    "uint16": gltf.UNSIGNED_SHORT,
    "uint32": gltf.UNSIGNED_INT,
}


@dataclass(frozen=True)
class Texture:
    """A picture on the face.

    Attributes:
        layout: which texels each triangle takes.
        image: display RGB.
    """

    layout: TextureLayout
    image: UInt8[np.ndarray, "S S 3"]

    @cached_property
    def png(self) -> bytes:
        """The picture as the content of a file; packed once for all files that have it."""
        return png_of(self.image)


def write_glb(
    path: Path,
    vertices: Float[Tensor, "N 3"],
    faces: Int[Tensor, "F 3"],
    appearance: Float[Tensor, "N 3"] | Texture,
    targets: MorphTargets | None = None,
    movement: Movement | None = None,
) -> None:
    """Write a face, with morph targets and an animation if they are given.

    Args:
        path: of the file; missing folders are made.
        vertices: model space, mm.
        faces: the model's triangles.
        appearance: display RGB of the vertices, clamped to 0 to 1, or a texture.
        targets: the file's weights are 0, so that it opens as `vertices` say.
        movement: of the targets and of the head.

    Raises:
        InputError: the movement has another number of weights than there are targets.
    """
    names = () if targets is None else targets.names
    if movement is not None and movement.weights.shape[1] != len(names):
        raise InputError(
            f"the animation has {movement.weights.shape[1]} weights for {len(names)} morph targets; make as many of "
            f"both"
        )
    file = _File()
    face = _Geometry.of(vertices, faces, appearance)
    primitive = gltf.Primitive(
        attributes=gltf.Attributes(
            POSITION=file.vectors(face.points(vertices), bounds=True), NORMAL=file.vectors(face.normals(vertices))
        ),
        indices=file.indices(face.triangles),
        material=0,
        mode=gltf.TRIANGLES,
    )
    material = gltf.PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=ROUGHNESS)
    if isinstance(appearance, Texture):
        # glTF counts v from the top.
        u, v = appearance.layout.uv.unbind(1)
        primitive.attributes.TEXCOORD_0 = file.vectors(torch.stack([u, 1 - v], dim=1))
        material.baseColorTexture = gltf.TextureInfo(index=file.texture(appearance.png))
    else:
        primitive.attributes.COLOR_0 = file.colors(appearance)
    mesh = gltf.Mesh(name="face", primitives=[primitive])
    if names and targets is not None:
        file.add_targets(primitive, face, vertices, targets)
        mesh.weights = [0.0] * len(names)
        mesh.extras = {"targetNames": list(names)}  # where three.js and Blender look for them
    file.content.meshes.append(mesh)
    file.content.materials.append(gltf.Material(name="skin", pbrMetallicRoughness=material, doubleSided=True))
    if movement is not None:
        file.animate(movement)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, file.encoded())


@dataclass(frozen=True)
class _Geometry:
    """What the vertices of the file are to those of the model: the same, or those of a texture's layout."""

    source: Int[Tensor, "M"]
    triangles: Int[Tensor, "F 3"]
    vertex_normals: VertexNormals

    @classmethod
    def of(cls, vertices: Tensor, faces: Tensor, appearance: Tensor | Texture) -> _Geometry:
        normals = _vertex_normals(faces, len(vertices))
        if isinstance(appearance, Texture):
            return cls(appearance.layout.source, appearance.layout.faces, normals)
        return cls(torch.arange(len(vertices)), faces.cpu(), normals)

    def points(self, values: Float[Tensor, "N 3"]) -> Float[Tensor, "M 3"]:
        """Millimetres at the model's vertices to metres at the file's."""
        return values.detach().cpu()[self.source] * METRES

    def normals(self, vertices: Float[Tensor, "N 3"]) -> Float[Tensor, "M 3"]:
        """Of the model, so that no edge shows where the texture has one."""
        return self.vertex_normals(vertices.detach().cpu()[None])[0, self.source]


_known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def _vertex_normals(faces: Int[Tensor, "F 3"], vertex_count: int) -> VertexNormals:
    """Kept for each triangulation: sorting its corners takes longer than the normals of a face."""
    if faces not in _known:
        # Of a copy: a value that holds on to its own key would be kept for ever.
        _known[faces] = VertexNormals(faces.cpu().clone(), vertex_count)
    return _known[faces]


def _numbers(indices: Int[np.ndarray, "K"]) -> np.ndarray:
    """Numbers of vertices in 16 bits if they fit; the largest 16-bit number is none, for some graphics cards."""
    small = int(indices.max(initial=0)) < np.iinfo(np.uint16).max
    return indices.astype(np.uint16 if small else np.uint32)


def _tree() -> gltf.GLTF2:
    return gltf.GLTF2(
        asset=gltf.Asset(version="2.0", generator=GENERATOR),
        scene=0,
        scenes=[gltf.Scene(nodes=[0])],
        nodes=[gltf.Node(name="face", mesh=0)],
    )


@dataclass
class _File:
    """The tree of a file and the bytes that it points into."""

    content: gltf.GLTF2 = field(default_factory=_tree)
    data: bytearray = field(default_factory=bytearray)

    def vectors(self, values: Tensor, bounds: bool = False, target: int | None = gltf.ARRAY_BUFFER) -> int:
        """An accessor of 32-bit vectors or scalars; positions and times must say their bounds."""
        array = np.ascontiguousarray(values.detach().cpu().numpy(), dtype=np.float32)
        kind = gltf.SCALAR if array.ndim == 1 else f"VEC{array.shape[1]}"
        accessor = gltf.Accessor(componentType=gltf.FLOAT, count=len(array), type=kind)
        if bounds:
            accessor.min = np.atleast_1d(array.min(axis=0)).tolist()
            accessor.max = np.atleast_1d(array.max(axis=0)).tolist()
        return self._accessor(array, accessor, target)

    def colors(self, rgb: Tensor) -> int:
        """Linear colors in 16 bits: in 8, the dark ones would show steps."""
        from mofa3d.pictures.color import to_linear

        linear = to_linear(rgb.detach().cpu().double().clamp(0, 1).numpy())
        array = np.full((len(linear), 4), 65535, dtype=np.uint16)  # four, for a vertex begins at a multiple of 4 bytes
        array[:, :3] = np.round(65535 * linear)
        accessor = gltf.Accessor(componentType=gltf.UNSIGNED_SHORT, normalized=True, count=len(array), type=gltf.VEC4)
        return self._accessor(array, accessor, gltf.ARRAY_BUFFER)

    def indices(self, faces: Tensor) -> int:
        array = _numbers(faces.numpy().ravel())
        accessor = gltf.Accessor(componentType=INTEGERS[array.dtype.name], count=len(array), type=gltf.SCALAR)
        return self._accessor(array, accessor, gltf.ELEMENT_ARRAY_BUFFER)

    def add_targets(self, primitive: gltf.Primitive, face: _Geometry, vertices: Tensor, targets: MorphTargets) -> None:
        """Morph targets of positions and normals, packed."""
        from mofa3d.export.morph_packing import QUANTIZATION, pack_displacements, pack_normals

        rest = face.normals(vertices)
        for displacement in targets.displacements:
            bent = face.normals(vertices + displacement) - rest
            places = self._sparse(pack_displacements(face.points(displacement).numpy()), len(rest), bounds=True)
            turns = self._sparse(pack_normals(bent.numpy()), len(rest))
            primitive.targets.append(gltf.Attributes(POSITION=places, NORMAL=turns))
        self.content.extensionsUsed.append(QUANTIZATION)
        self.content.extensionsRequired.append(QUANTIZATION)

    def _sparse(self, packed: PackedVectors, count: int, bounds: bool = False) -> int:
        """An accessor of vectors that are zero but for the packed ones."""
        rows = _numbers(packed.rows)
        accessor = gltf.Accessor(
            byteOffset=None,  # there is no buffer of the zeros
            componentType=INTEGERS[packed.values.dtype.name],
            normalized=True,
            count=count,
            type=gltf.VEC3,
            sparse=gltf.Sparse(
                count=len(rows),
                indices=gltf.AccessorSparseIndices(
                    bufferView=self._view(rows.tobytes()), componentType=INTEGERS[rows.dtype.name]
                ),
                values=gltf.AccessorSparseValues(bufferView=self._view(packed.values.tobytes())),
            ),
        )
        if bounds:  # as stored, and with the zeros between
            zero = [0] if len(rows) < count else []
            accessor.min = [min([*column, *zero]) for column in packed.values.T.tolist()]
            accessor.max = [max([*column, *zero]) for column in packed.values.T.tolist()]
        self.content.accessors.append(accessor)
        return len(self.content.accessors) - 1

    def texture(self, png: bytes) -> int:
        """An embedded PNG, which is sRGB because it becomes the base color."""
        view = self._view(png)
        self.content.images.append(gltf.Image(name="reflectance", mimeType="image/png", bufferView=view))
        sampler = gltf.Sampler(
            magFilter=gltf.LINEAR,
            minFilter=gltf.LINEAR_MIPMAP_LINEAR,
            wrapS=gltf.CLAMP_TO_EDGE,
            wrapT=gltf.CLAMP_TO_EDGE,
        )
        self.content.samplers.append(sampler)
        self.content.textures.append(gltf.Texture(sampler=0, source=0))
        return 0

    def animate(self, movement: Movement) -> None:
        """Move the face's node and its morph targets, linearly between frames."""
        start = self.vectors(movement.times, bounds=True, target=None)
        parts = {
            gltf.ROTATION: movement.rotations,
            gltf.TRANSLATION: movement.translations * METRES,
            gltf.WEIGHTS: movement.weights.flatten(),
        }
        animation = gltf.Animation(name="movement")
        for path, values in parts.items():
            if len(values):  # there may be no morph targets
                node = gltf.AnimationChannelTarget(node=0, path=path)
                animation.channels.append(gltf.AnimationChannel(sampler=len(animation.samplers), target=node))
                output = self.vectors(values, target=None)
                animation.samplers.append(gltf.AnimationSampler(input=start, output=output, interpolation="LINEAR"))
        self.content.animations.append(animation)

    def encoded(self) -> bytes:
        self.content.buffers.append(gltf.Buffer(byteLength=len(self.data)))
        self.content.set_binary_blob(bytes(self.data))
        return b"".join(self.content.save_to_bytes())

    def _accessor(self, array: np.ndarray, accessor: gltf.Accessor, target: int | None) -> int:
        accessor.bufferView = self._view(array.tobytes(), target)
        self.content.accessors.append(accessor)
        return len(self.content.accessors) - 1

    def _view(self, content: bytes, target: int | None = None) -> int:
        """A view of bytes that are added at a multiple of 4, as every component type allows."""
        view = gltf.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(content), target=target)
        self.data += content + b"\0" * (-len(content) % 4)
        self.content.bufferViews.append(view)
        return len(self.content.bufferViews) - 1
