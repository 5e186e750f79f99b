"""The photographs of a verification: those of LFW, found and cut out, or held-out ones of a prepared corpus."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from mofa3d.data.batches.in_order import in_order
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.split import spread
from mofa3d.data.crop import IMAGE_SIZE
from mofa3d.data.detect import detect_faces
from mofa3d.data.failures import Failure
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import read_photo
from mofa3d.data.readable import problem_of, readable, warn_about
from mofa3d.errors import InputError
from mofa3d.evaluation.estimates import Estimate
from mofa3d.evaluation.verification.pairs import Pair, check_photos, pair_people
from mofa3d.reconstruction.reconstructor import crop_at
from mofa3d.reconstruction.refine import batch_of
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

    Items are ``image`` (3, S, S) in 0 to 1 and, if landmarks are wanted, ``landmarks`` (68, 2) px and their
    ``confidence`` (68,)."""

    def __init__(self, folder: Path, names: list[str], boxes: list[FoundFace], landmarks: bool) -> None:
        self.folder, self.names, self.boxes, self.landmarks = folder, names, boxes, landmarks

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        photo = read_photo(self.folder / self.names[index])
        batch = batch_of(crop_at(photo, self.boxes[index], IMAGE_SIZE), self.landmarks)
        return {name: value[0] for name, value in batch.items()}


class Found(NamedTuple):
    """Faces of photographs.

    Attributes:
        boxes: of each photograph that can be read.
        missed: how many of these are guessed.
        failures: photographs that cannot be read.
    """

    boxes: dict[str, FoundFace]
    missed: int
    failures: list[Failure]


def find_faces(folder: Path, names: list[str]) -> Found:
    """The face nearest to the middle of each photograph, for LFW's people are there.

    Where none is found, the median box of the others takes its place: LFW's photographs are all cut alike.

    Raises:
        InputError: no face in any photograph.
    """
    found: dict[str, FoundFace | None] = {}
    # What a glance at the files tells is told at once, and not after the minutes that the others take.
    failures = [Failure(name, problem) for name in names if (problem := problem_of(folder / name))]
    warn_about(failures)
    damaged = {failure.photo for failure in failures}
    for name in tqdm([name for name in names if name not in damaged], desc="finding faces", dynamic_ncols=True):
        try:
            photo = read_photo(folder / name)
        except InputError as error:
            failures.append(Failure(name, str(error)))
            continue
        height, width = photo.shape[:2]
        boxes = sorted(detect_faces(photo), key=lambda box: np.hypot(box.x - width / 2, box.y - height / 2))
        found[name] = boxes[0] if boxes else None
    known = [box for box in found.values() if box is not None]
    if not known:
        raise InputError(f"no face was found in any of the {len(names)} photographs below {folder}; is this LFW?")
    x, y, size = np.median([(box.x, box.y, box.size) for box in known], axis=0).tolist()
    usual = FoundFace.of_box(x, y, size, 0.0)
    return Found({name: box or usual for name, box in found.items()}, len(found) - len(known), failures)


def lfw_faces(folder: Path, pairs: list[Pair], table: Path, landmarks: bool) -> VerifiedFaces:
    """The photographs of LFW that a table of pairs names.

    Args:
        folder: LFW's.
        pairs: see `mofa3d.evaluation.verification.pairs.read_pairs`.
        table: where they were read.
        landmarks: whether they are needed.

    Raises:
        InputError: photographs are missing or show no face, or so many are damaged that a fold has no pair of a kind.
    """
    found = find_faces(folder, check_photos(folder, pairs))
    names = list(found.boxes)
    kept = [pair for pair in pairs if {pair.first, pair.second} <= found.boxes.keys()]
    if {(pair.fold, pair.same) for pair in kept} != {(pair.fold, pair.same) for pair in pairs}:
        raise InputError(
            f"{len(found.failures)} photographs below {folder} cannot be read, and without them a fold has no pair of "
            f"each kind (the first: {found.failures[0].photo}: {found.failures[0].reason}); get them again"
        )
    facts = {
        "pairs": f"{table}: {_counted(kept)}",
        "photographs": f"{len(names)} of {folder}; in {found.missed} no face was found, and the usual place was taken",
    }
    if found.failures:
        bad = "; ".join(f"{failure.photo}: {failure.reason}" for failure in found.failures)
        facts["left out"] = f"{len(pairs) - len(kept)} pairs, whose photographs cannot be read ({bad})"
    dataset = LfwFaces(folder, names, list(found.boxes.values()), landmarks)
    return VerifiedFaces(kept, names, dataset, list(range(len(names))), facts)


def corpus_faces(corpus: Corpus, count: int, folds: int, most: int, seed: int = 0) -> VerifiedFaces:
    """Pairs of held-out photographs of a corpus, of people with several that have all landmarks.

    Args:
        corpus: prepared photographs.
        count, folds, seed: see `mofa3d.evaluation.verification.pairs.pair_people`.
        most: photographs of each person.

    Raises:
        InputError: too few people with several photographs.
    """
    usable = torch.from_numpy(corpus.held_out) & (corpus.confidence > 0).all(dim=1)
    people: dict[str, list[int]] = defaultdict(list)
    for index in readable(corpus, usable.nonzero().flatten().tolist())[0]:
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
    """What a system estimates for every photograph, in the order of their names."""
    codes = [estimate(batch) for batch in in_order(faces.dataset, faces.indices, batch_size, "estimating codes")]
    return SemanticCode.from_vector(torch.cat([code.to_vector() for code in codes]), codes[0].sizes)
