"""The photographs of a verification: those of LFW, found and cut out, or held-out ones of a prepared corpus."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate
from tqdm import tqdm

from mofa3d.baselines.comparison import Estimate
from mofa3d.baselines.pairs import Pair, check_photos, pair_people
from mofa3d.data.corpus import Corpus
from mofa3d.data.crop import IMAGE_SIZE, crop_face
from mofa3d.data.detect import FaceBox, detect_faces
from mofa3d.data.photo import read_photo, to_tensor
from mofa3d.data.split import spread
from mofa3d.inference import FaceCrop, batch_of
from mofa3d.semantic_code import SemanticCode


@dataclass(frozen=True)
class VerifiedFaces:
    """Pairs, and the photographs in them.

    Attributes:
        pairs: of the protocol.
        names: of the photographs, as the pairs have them.
        dataset: where they are.
        indices: of each name.
        facts: what to say about them.
    """

    pairs: list[Pair]
    names: list[str]
    dataset: Dataset
    indices: list[int]
    facts: dict[str, str]


class LfwFaces(Dataset):
    """Crops of photographs below a folder, made when they are asked for.

    Items are ``image`` (3, S, S) in 0 to 1 and, if landmarks are wanted, dlib's ``landmarks`` (68, 2) px and their
    ``confidence`` (68,).
    """

    def __init__(self, folder: Path, names: list[str], boxes: list[FaceBox], landmarks: bool) -> None:
        self.folder, self.names, self.boxes, self.landmarks = folder, names, boxes, landmarks

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        photo, box = read_photo(self.folder / self.names[index]), self.boxes[index]
        pixels, transform = crop_face(photo, box, IMAGE_SIZE)
        batch = batch_of(FaceCrop(photo, box, to_tensor(pixels), transform), self.landmarks)
        return {name: value[0] for name, value in batch.items()}


def find_faces(folder: Path, names: list[str]) -> tuple[list[FaceBox], int]:
    """The face nearest to the middle of each photograph, for LFW's people are there, and how many were not found.

    Where none is found, the median box of the others takes its place: LFW's photographs are all cut alike.

    Raises:
        ValueError: no face in any photograph.
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


def lfw_faces(folder: Path, pairs: list[Pair], table: Path, landmarks: bool) -> VerifiedFaces:
    """The photographs of LFW that a table of pairs names.

    Args:
        folder: LFW's.
        pairs: see `mofa3d.baselines.pairs.read_pairs`.
        table: where they were read.
        landmarks: whether they are needed.

    Raises:
        ValueError: photographs are missing, or show no face.
    """
    names = check_photos(folder, pairs)
    boxes, missed = find_faces(folder, names)
    facts = {
        "pairs": f"{table}: {_counted(pairs)}",
        "photographs": f"{len(names)} of {folder}; in {missed} no face was found, and the usual place was taken",
    }
    return VerifiedFaces(pairs, names, LfwFaces(folder, names, boxes, landmarks), list(range(len(names))), facts)


def corpus_faces(corpus: Corpus, count: int, folds: int, most: int, seed: int = 0) -> VerifiedFaces:
    """Pairs of held-out photographs of a corpus, of people with several that have all landmarks.

    Args:
        corpus: prepared photographs.
        count, folds, seed: see `mofa3d.baselines.pairs.pair_people`.
        most: photographs of each person.

    Raises:
        ValueError: too few people with several photographs.
    """
    usable = torch.from_numpy(corpus.held_out) & (corpus.confidence > 0).all(dim=1)
    people: dict[str, list[int]] = defaultdict(list)
    for index in usable.nonzero().flatten().tolist():
        people[corpus.identities[index]].append(index)
    several = {name: spread(indices, most) for name, indices in people.items() if len(indices) > 1}
    photos = {name: [corpus.photos[i] for i in chosen] for name, chosen in several.items()}
    pairs = pair_people(photos, count, folds, seed)
    row = {corpus.photos[i]: i for chosen in several.values() for i in chosen}
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second)))
    facts = {
        "pairs": f"of {len(several)} held-out people, made here and not those of View 2: {_counted(pairs)}",
        "photographs": f"{len(names)} of {corpus.folder}, at most {most} of each person",
    }
    return VerifiedFaces(pairs, names, corpus, [row[name] for name in names], facts)


def _counted(pairs: list[Pair]) -> str:
    return f"{len(pairs)} in {len({pair.fold for pair in pairs})} folds"


@torch.no_grad()
def codes_of(estimate: Estimate, faces: VerifiedFaces, batch_size: int) -> SemanticCode:
    """What a system says about every photograph, in the order of their names."""
    codes = []
    for start in tqdm(range(0, len(faces.indices), batch_size), desc="estimating codes", dynamic_ncols=True):
        part = faces.indices[start : start + batch_size]
        codes.append(estimate(default_collate([faces.dataset[i] for i in part])))
    return SemanticCode.from_vector(torch.cat([code.to_vector() for code in codes]), codes[0].sizes)
