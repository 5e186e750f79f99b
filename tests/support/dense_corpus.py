"""A prepared corpus of rendered faces of the default model, with MediaPipe's points where the model has them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from mofa3d.camera import Camera
from mofa3d.data.corpus.blocks import write_block
from mofa3d.data.corpus.dataset import Corpus, Decisions, finish
from mofa3d.data.corpus.shards import SHARDS, Face, encode_crop
from mofa3d.data.corpus.split import identity_of
from mofa3d.decoder import Decoder
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.morphable_model import MorphableModel
from mofa3d.pictures.views import to_bytes
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import SemanticCode


@torch.no_grad()
def make_dense_corpus(folder: Path, model: MorphableModel, names: list[str], codes: SemanticCode) -> Corpus:
    """Photographs ``names`` of faces of codes, before grey; those whose name begins with "plain" have no points."""
    decode, render, attached = Decoder(model, Camera(240)), make_renderer("cpu", antialias=False), dense_landmarks()
    faces = []
    for number, name in enumerate(names):
        scene = decode(codes[number : number + 1])
        rgba = render(scene).require_image()
        image = to_bytes(rgba[:, :3] + 0.5 * (1 - rgba[:, 3:]))[0]
        points = (scene.pixels[0, model.faces[attached.faces]] * attached.weights[..., None]).sum(dim=1)
        dense = torch.cat([points, torch.zeros(478, 1)], dim=1).tolist()
        known = not Path(name).stem.startswith("plain")
        face = Face(
            key=name,
            identity=identity_of(name),
            landmarks=scene.landmarks[0].tolist(),
            confidence=[1.0] * 68,
            dense=dense if known else None,
        )
        faces.append((face, encode_crop(image)))
    records = [{"key": name, "stamp": "", "faces": 1, "removed": []} for name in names]
    (folder / SHARDS).mkdir(parents=True)
    write_block(folder, 0, iter(faces), partial(list, records), "made for a test")
    return finish(folder, names, Decisions(held_out=0.0), {"model": model.fingerprint()})
