"""A batch's work that needs no encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mofa3d.camera import Camera
from mofa3d.cli.streams import shown_logs
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.found_face import FoundFace
from mofa3d.data.sources import Reader
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.reconstruction.batch import BatchReconstruction, BatchTools
from mofa3d.reconstruction.reconstructor import Reconstruction
from mofa3d.semantic_code import SemanticCode


class Work:
    """Counts what is asked of it."""

    def __init__(self, model) -> None:
        code = SemanticCode.from_vector(torch.zeros(1, model.sizes.total), model.sizes)
        scene = Decoder(model, Camera(16))(code)
        face = FoundFace.of_box(2.0, 2.0, 2.0, 0.9)
        self.face = Reconstruction(face, torch.zeros(3, 16, 16), CropTransform(0.0, 0.0, 1.0), code, scene)
        self.written: list[str] = []

    def faces(self, photo: np.ndarray) -> list[Reconstruction]:
        if not photo[0, 0, 0]:
            raise InputError("no face was found")
        return [self.face] * int(photo[0, 0, 0])

    def write(self, folder: Path, name: str, photo: np.ndarray, found: Reconstruction) -> None:
        self.written.append(Path(name).name)
        (folder / "code.json").write_text(name)

    def film(self, path: Path, folder: Path) -> None:
        self.written.append(path.name)
        (folder / "codes.json").write_text("[]")

    def run(self, inputs: list, out: Path, reader: Reader | None = None, **about):
        self.written.clear()
        with shown_logs():
            tools = BatchTools(self.faces, self.write, self.film)
            return BatchReconstruction(lambda: tools, about, reader or Reader())(inputs, out)


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
