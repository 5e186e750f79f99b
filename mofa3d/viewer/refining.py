"""Fit a face of the page more closely, as ``mofa3d reconstruct --refine`` does."""

from __future__ import annotations

import torch

from mofa3d.data.photo import Photo
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.reconstruction.reconstructor import Reconstruction, crop_at, reconstruction_of
from mofa3d.viewer.tools import Tools


@plain_settings()
@torch.no_grad()
def refined(photo: Photo, found: Reconstruction, tools: Tools) -> Reconstruction:
    """The same face with a code that fits the photograph more closely."""
    crop = crop_at(photo, found.box, tools.decode.camera.image_size)
    return reconstruction_of(crop, tools.refine(found.code, crop), tools.decode)
