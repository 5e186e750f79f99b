"""Refine a predicted code on its photograph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from mofa3d.data.landmarks_478 import to_68
from mofa3d.decoder import Decoder
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.fitting.dense_fit import DenseFit
from mofa3d.fitting.gauss_newton import GaussNewton, GaussNewtonConfig, thies
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.objective import Batch
from mofa3d.reconstruction.reconstructor import FaceCrop
from mofa3d.semantic_code import SemanticCode


class Refiner:
    """Fits codes to crops.

    The geometry of the default model is fitted to the crop's dense landmarks under the model's prior, and colors to the
    photograph: colors lead geometry away from the person (`mofa3d.fitting.dense_fit`), and so did an encoder's
    prediction as the prior. Any other model, and a crop without dense landmarks, is fitted to colors and the 68
    landmarks together (`GaussNewton`), from the given code on.

    Args:
        decode: gives the face model, on the CPU, and the size of the crops.
        config: how to fit by `GaussNewton`, which is then done with the default model too; `thies` by default, whose
            few steps do from a prediction.
        landmarks: whether the crops' landmarks take part, and where a crop has none, the points where the given code
            has them: a fit to colors alone would move away from what was right already.

    Raises:
        InputError: the face model is not on the CPU.
    """

    def __init__(self, decode: Decoder, config: GaussNewtonConfig | None = None, landmarks: bool = True) -> None:
        self.fit_points = self.fit_colors = None
        if landmarks and config is None and decode.model.name == "makehuman":
            self.fit_points = DenseFit(decode.model, dense_landmarks(), decode.camera)
            self.fit_colors = ColorFit(decode, every=1)
        config = config or thies()
        self.decode = decode
        self.landmarks = landmarks
        self.fit = GaussNewton(
            decode, config if landmarks else replace(config, loss=replace(config.loss, landmark=0.0))
        )

    def __call__(self, code: SemanticCode, crop: FaceCrop) -> SemanticCode:
        """A code that fits the crop better."""
        if self.fit_points is not None and self.fit_colors is not None and crop.dense is not None:
            points = torch.from_numpy(crop.transform.to_crop(crop.dense.points[:, :2].astype(np.float64))).float()
            found = self.fit_points(points[None]).code
            found = found.replace(reflectance=code.reflectance, illumination=code.illumination)
            return self.fit_colors(found, crop.pixels[None])
        batch = batch_of(crop, self.landmarks)
        if self.landmarks and crop.dense is None:
            batch |= own_points(code, self.decode)
        with one_thread():
            return self.fit(code, batch).codes


def batch_of(crop: FaceCrop, landmarks: bool) -> Batch:
    """A crop as the items of a corpus come: ``image`` (1, 3, H, W), and if wanted the ``landmarks`` (1, 68, 2) px that
    were detected and their ``confidence`` (1, 68), which is 0 where there are none.
    """
    batch = {"image": crop.pixels[None]}
    if landmarks:
        points = torch.zeros(1, 68, 2, dtype=torch.float32)
        if crop.dense is not None:
            points[0] = torch.from_numpy(crop.transform.to_crop(to_68(crop.dense.points).astype(np.float64)))
        batch["landmarks"] = points
        confidence = 0.0 if crop.dense is None else crop.dense.presence
        batch["confidence"] = torch.full((1, 68), confidence, dtype=torch.float32)
    return batch


def own_points(code: SemanticCode, decode: Decoder) -> Batch:
    """The points where codes have them, as ``landmarks`` and ``confidence`` of photographs without any."""
    points = decode(code).landmarks
    return {"landmarks": points, "confidence": points.new_ones(points.shape[:2])}


@contextmanager
def one_thread() -> Iterator[None]:
    """A fit's matrices are small, and threads that wait for each other cost more than they do.

    A fit in 50 steps takes 0.9 s on one thread, 1.2 to 3 s on two.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
