"""Textures of one model's faces: the layout and its texels are found once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np

from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.photo import Photo
from mofa3d.export.gltf import Texture
from mofa3d.export.photo_texture import View, photo_texture
from mofa3d.export.texture import Rasterize, Texels, bake, find_texels
from mofa3d.export.texture_layout import TextureLayout, texture_layout
from mofa3d.morphable_model import MorphableModel
from mofa3d.scene import Scene


class FaceTextures:
    """Makes textures of reconstructed faces.

    Args:
        model: of the faces, on the CPU.
        rasterize: on the CPU.
        views: of one person, which every texture shows instead of the photograph that is given.
    """

    def __init__(self, model: MorphableModel, rasterize: Rasterize, views: Sequence[View] = ()) -> None:
        self.model, self.rasterize, self.views = model, rasterize, tuple(views)
        self._texels: dict[int, Texels] = {}
        self._blended: dict[int, np.ndarray] = {}  # of the views, by size

    @cached_property
    def layout(self) -> TextureLayout:
        return texture_layout(self.model)

    def __call__(
        self, scene: Scene, photo: Photo, transform: CropTransform, look: Literal["model", "photograph"], size: int
    ) -> Texture:
        """The reflectance of a face, the model's or the photograph's (see `photo_texture`).

        Args:
            scene: one face.
            photo, transform: see `photo_texture`.
            look: whose reflectance.
            size: texels along each side.

        Raises:
            InputError: the texture is too small; see `find_texels`.
        """
        if size not in self._texels:
            self._texels[size] = find_texels(self.layout, size, self.rasterize)
        texels = self._texels[size]
        if look == "photograph" and self.views:
            if size not in self._blended:
                self._blended[size] = photo_texture(self.views, self.model, texels, self.rasterize)
            return Texture(self.layout, self._blended[size])
        if look == "photograph":
            view = View(scene, photo, transform)
            return Texture(self.layout, photo_texture([view], self.model, texels, self.rasterize))
        return Texture(self.layout, bake(texels, scene.reflectance[0]))
