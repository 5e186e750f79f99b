"""Verify people by their codes on Labeled Faces in the Wild: ten folds, View 2.

    python experiments/verify_lfw.py --lfw LFW --pairs pairs.txt --checkpoint runs/mine --out runs/verification
    python experiments/verify_lfw.py --lfw LFW --pairs own.txt --make-pairs 60 --checkpoint runs/mine

The second makes the table of pairs first, from whatever part of LFW is there. An encoder that was trained on
photographs of the people in the pairs has an advantage that the protocol forbids. Writes report.md, report.json and
roc.png into --out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from tqdm import tqdm

from mofa3d import SemanticCode, program
from mofa3d.baselines.pairs import check_photos, make_pairs, read_pairs
from mofa3d.baselines.verification import verify
from mofa3d.baselines.verification_report import table, write_report
from mofa3d.checkpoints import open_run
from mofa3d.data.crop import crop_face
from mofa3d.data.detect import FaceBox, detect_faces
from mofa3d.data.photo import read_photo, to_tensor
from mofa3d.environment import check_device, commit


@dataclass(frozen=True)
class Config:
    lfw: Path
    """Folder of LFW, with a folder of photographs for each person."""
    pairs: Path
    """LFW's pairs.txt; with --make-pairs, where to write one."""
    checkpoint: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """Folder of a run of train_mofa.py or train_pooled.py, or its checkpoint."""
    out: Path = Path("runs/verification")
    make_pairs: int = 0
    """Make a table of so many matched and so many mismatched pairs per fold from the photographs that are there."""
    folds: int = 10
    """Of the table that is made."""
    batch_size: int = 32
    seed: int = 0
    """Of the choice of pairs."""
    device: str = "cpu"


def find_faces(folder: Path, names: list[str]) -> tuple[list[FaceBox], int]:
    """The face nearest to the middle of each photograph, for LFW's people are there, and how many were not found.

    Where none is found, the median box of the others takes its place: LFW's photographs are all cut alike.
    """
    found: list[FaceBox | None] = []
    for name in tqdm(names, desc="finding faces", dynamic_ncols=True):
        photo = read_photo(folder / name)
        height, width = photo.shape[:2]
        boxes = sorted(detect_faces(photo), key=lambda box: np.hypot(box.x - width / 2, box.y - height / 2))
        found.append(boxes[0] if boxes else None)
    known = [box for box in found if box is not None]
    if not known:
        raise ValueError(f"no face was found in any of the {len(names)} photographs below {folder}; is this LFW?")
    x, y, size = np.median([(box.x, box.y, box.size) for box in known], axis=0).tolist()
    usual = FaceBox(x, y, size, 0)
    return [box or usual for box in found], len(names) - len(known)


@torch.no_grad()
def encode(config: Config, names: list[str], boxes: list[FaceBox]) -> SemanticCode:
    """What the encoder says about every photograph."""
    encoder, decode = open_run(config.checkpoint)
    encoder, size, codes = encoder.to(config.device), decode.camera.image_size, []
    for start in tqdm(range(0, len(names), config.batch_size), desc="encoding", dynamic_ncols=True):
        part = slice(start, start + config.batch_size)
        crops = [
            to_tensor(crop_face(read_photo(config.lfw / name), box, size)[0])
            for name, box in zip(names[part], boxes[part], strict=True)
        ]
        codes.append(encoder(torch.stack(crops).to(config.device)).cpu())
    return SemanticCode.from_vector(torch.cat(codes), decode.model.sizes)


def main(config: Config) -> None:
    check_device(config.device)
    if config.make_pairs:
        if config.pairs.exists():
            raise ValueError(f"{config.pairs} is there already; leave out --make-pairs, or name another file")
        text = make_pairs(config.lfw, config.make_pairs, config.folds, config.seed)
        config.pairs.write_text(text, encoding="utf-8")
    pairs = read_pairs(config.pairs)
    names = check_photos(config.lfw, pairs)
    boxes, missed = find_faces(config.lfw, names)
    code = encode(config, names, boxes)
    compared = {
        "shape and reflectance": torch.cat([code.shape, code.reflectance], dim=1),
        "shape": code.shape,
        "reflectance": code.reflectance,
    }
    rows = {name: row for row, name in enumerate(names)}
    results = {name: verify(values.numpy(), rows, pairs) for name, values in compared.items()}
    facts = {
        "pairs": f"{config.pairs}: {len(pairs)} in {len(results['shape'].accuracies)} folds",
        "photographs": f"{len(names)} of {config.lfw}; in {missed} no face was found, and the usual place was taken",
        "encoder": str(config.checkpoint),
        "commit": commit(),
    }
    config.out.mkdir(parents=True, exist_ok=True)
    print(table(results), f"\nThe report is {write_report(config.out, facts, results)}")


if __name__ == "__main__":
    program.run(main, Config, __doc__)
