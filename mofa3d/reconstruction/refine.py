"""Refine a predicted code by Gauss-Newton steps on its photograph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from mofa3d.data.dlib_landmarks import detect_landmarks, is_installed
from mofa3d.decoder import Decoder
from mofa3d.fitting.gauss_newton import GaussNewton, GaussNewtonConfig, thies
from mofa3d.objective import Batch
from mofa3d.reconstruction.reconstructor import FaceCrop
from mofa3d.semantic_code import SemanticCode


class Refiner:
    """Fits codes to crops, each from where it is; see `GaussNewton`.

    Args:
        decode: gives the face model, on the CPU, and the size of the crops.
        config: how to fit; `thies` by default, whose few steps do from a prediction.
        landmarks: whether points that dlib detects take part. ``None`` means them where dlib is installed, else the
            points where the given code has them: a fit to colors alone would move away from what was right already.

    Raises:
        InputError: the face model is not on the CPU.
    """

    def __init__(self, decode: Decoder, config: GaussNewtonConfig | None = None, landmarks: bool | None = None) -> None:
        config = config or thies()
        self.decode = decode
        self.detected = is_installed() if landmarks is None else landmarks
        self.kept = landmarks is None and not self.detected
        with_points = self.detected or self.kept
        self.fit = GaussNewton(
            decode, config if with_points else replace(config, loss=replace(config.loss, landmark=0.0))
        )

    def __call__(self, code: SemanticCode, crop: FaceCrop) -> SemanticCode:
        """A code that fits the crop better.

        Raises:
            InputError: dlib is wanted and not installed.
        """
        batch = batch_of(crop, self.detected)
        if self.kept:
            batch |= own_points(code, self.decode)
        with one_thread():
            return self.fit(code, batch).codes


def batch_of(crop: FaceCrop, landmarks: bool) -> Batch:
    """A crop as the items of a corpus come: ``image`` (1, 3, H, W), and with landmarks those that dlib detects.

    Raises:
        InputError: landmarks are wanted, and dlib is not installed.
    """
    batch = {"image": crop.pixels[None]}
    if landmarks:
        found = detect_landmarks(crop.photo, crop.box)
        batch["landmarks"] = torch.from_numpy(crop.transform.to_crop(found.points)[None]).float()
        batch["confidence"] = torch.from_numpy(found.confidence[None]).float()
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
