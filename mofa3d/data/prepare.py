"""Prepare a corpus: find faces and landmarks, leave out what is no use, and write crops to shards.

The work is cut into blocks of consecutive photographs. A block is done when its shard and, after it, its record are in
place; both appear whole or not at all. So a preparation that was killed goes on with the blocks that are missing, and
ends with the same shards as one that was not. Later runs keep every block whose photographs have not changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from mofa3d.data.blocks import finished_blocks, write_block
from mofa3d.data.corpus import REMOVED, Corpus, Decisions, finish, is_corpus
from mofa3d.data.corpus_report import write_report
from mofa3d.data.examine import Kept, Removed, examine
from mofa3d.data.landmarks import Points, find_landmarks
from mofa3d.data.prune import Limits
from mofa3d.data.shards import Face, encode_crop
from mofa3d.data.sources import Item, Reader, find_items
from mofa3d.locks import alone
from mofa3d.numeric_options import MOST, check_ranges
from mofa3d.output_folder import take_folder
from mofa3d.whole_files import write_bytes

VERSION = 1  # of what is done to a photograph
SHOWN = 6  # removed faces per rule and block that are kept for the report
FEW = 32  # photographs for which starting processes does not pay


@dataclass(frozen=True)
class PrepareConfig:
    """How to prepare a corpus.

    Attributes:
        detector: the paper's Haar cascade, or dlib's histogram of gradients.
        landmarks: "csv" from ``landmarks_68.csv`` tables, "dlib", "auto" from tables where they are and else from dlib
            if it is installed, "face_alignment" (FAN, with the points of tables where they are), or "none".
        fan_weights: file of FAN's weights, for "face_alignment".
        faces: the most prominent face of a photograph, or all.
        every: take every so many frames of a video.
        limits: what a face must have to be kept.
        held_out: fraction of the identities that is for validation.
        seed: of that split.
        block: photographs per shard.
    """

    detector: Literal["haar", "dlib"] = "haar"
    landmarks: Literal["auto", "csv", "dlib", "face_alignment", "none"] = "auto"
    fan_weights: str = ""
    faces: Literal["largest", "all"] = "largest"
    every: int = 30
    limits: Limits = field(default_factory=Limits)
    held_out: float = 0.08
    seed: int = 0
    block: int = 256

    def __post_init__(self) -> None:
        if self.landmarks == "face_alignment" and not Path(self.fan_weights).is_file():
            raise ValueError(
                f"landmarks of face_alignment need a file of its weights as --fan-weights, got {self.fan_weights!r}"
            )
        check_ranges(self, every=(1, MOST), held_out=(0, 1), block=(1, 100_000))

    def fingerprint(self) -> str:
        """Changes when what is done to a photograph changes; not with what is decided over the whole corpus."""
        limits = {**asdict(self.limits), "duplicate_bits": None}
        return _digest(VERSION, self.detector, self.resolved_landmarks(), self.faces, limits)

    def resolved_landmarks(self) -> str:
        """With "auto", what it comes to on this machine."""
        if self.landmarks == "face_alignment":
            return f"csv, then face_alignment with {Path(self.fan_weights).name}"
        if self.landmarks != "auto":
            return self.landmarks
        from mofa3d.data.dlib_landmarks import is_installed

        return "csv, then dlib" if is_installed() else "csv"


@dataclass(frozen=True)
class Task:
    """A photograph to examine, with its given points if there are any."""

    item: Item
    stamp: str
    points: Points | None


def prepare(
    sources: Sequence[str | Path], out: Path, config: PrepareConfig | None = None, workers: int | None = None
) -> Corpus:
    """Prepare a corpus, or bring one up to date.

    Args:
        sources: folders, files, glob patterns; see `mofa3d.data.sources`.
        out: folder of the corpus.
        config: how.
        workers: processes; ``None`` means one per core.

    Raises:
        ValueError: a source without photographs, a malformed table of landmarks, dlib is wanted and missing, or no
            photograph has a usable face. Single photographs that cannot be used are listed in ``failures.csv``.
    """
    config = config or PrepareConfig()
    tasks = find_tasks(sources, config)
    take_folder(out, "prepare", known=is_corpus(out))
    with alone(out):
        return _prepare(sources, tasks, out, config, workers)


def _prepare(
    sources: Sequence[str | Path], tasks: list[Task], out: Path, config: PrepareConfig, workers: int | None
) -> Corpus:
    (out / REMOVED).mkdir(parents=True, exist_ok=True)
    decisions = Decisions(config.limits.duplicate_bits, config.held_out, config.seed)
    about = {
        "sources": [str(source) for source in sources],
        "config": asdict(config),
        "version": VERSION,
        "content": _digest([[task.item.key, task.stamp] for task in tasks], config.fingerprint(), asdict(decisions)),
    }
    numbers, left = plan(out, tasks, config)
    if not left and (corpus := _as_it_was(out, about["content"])):
        return corpus
    parts = [left[start : start + config.block] for start in range(0, len(left), config.block)]
    blocks = [(out, number, part, config) for number, part in zip(numbers, parts, strict=False)]
    with tqdm(total=len(left), desc="preparing", unit="photo", dynamic_ncols=True, disable=not left) as bar:
        for done in _in_parallel(blocks, workers, len(left)):
            bar.update(done)
    corpus = finish(out, [task.item.key for task in tasks], decisions, about)
    write_report(corpus)
    return corpus


def _digest(*values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _as_it_was(out: Path, content: str) -> Corpus | None:
    """The corpus, if the last preparation ended and was of the same photographs and settings."""
    try:
        corpus = Corpus(out)
    except ValueError:
        return None
    return corpus if corpus.summary.get("content") == content else None


def find_tasks(sources: Sequence[str | Path], config: PrepareConfig) -> list[Task]:
    items = find_items(sources, config.every)
    points: dict[str, Points] = {}
    if "csv" in config.resolved_landmarks():
        for root in dict.fromkeys(item.root for item in items):
            below = {item.path.relative_to(root).as_posix(): item.key for item in items if item.root == root}
            points |= {below[name]: found for name, found in find_landmarks(root, below).items()}
    return [Task(item, _stamp(item, points.get(item.key)), points.get(item.key)) for item in items]


def _stamp(item: Item, points: Points | None) -> str:
    return item.stamp if points is None else f"{item.stamp}-{hashlib.sha256(points.tobytes()).hexdigest()[:8]}"


def plan(out: Path, tasks: list[Task], config: PrepareConfig) -> tuple[Iterator[int], list[Task]]:
    """Numbers of the blocks to do, endless, and the photographs that no finished block has.

    Blocks of other settings, or with a photograph that has changed or is gone, are done again.
    """
    current = {task.item.key: task.stamp for task in tasks}

    def is_current(fingerprint: str, photos: list[dict]) -> bool:
        same = all(current.get(photo["key"]) == photo["stamp"] for photo in photos)
        return same and fingerprint == config.fingerprint()

    done = finished_blocks(out, is_current)
    finished = {photo["key"] for photos in done.values() for photo in photos}
    return (number for number in count() if number not in done), [t for t in tasks if t.item.key not in finished]


def do_block(out: Path, number: int, tasks: list[Task], config: PrepareConfig) -> int:
    """Examine the photographs of one block and write it; returns how many there were."""
    reader, photos, removed = Reader(), [], []
    shown: Counter[str] = Counter()

    def faces() -> Iterator[tuple[Face, bytes]]:
        for task in tasks:
            left_out, found = [], 0
            for result in examine(reader, task.item, task.points, config):
                if isinstance(result, Kept):
                    found += 1
                    yield result.face, encode_crop(result.crop)
                    continue
                left_out.append((result.rule, result.reason))
                if result.crop is not None and shown[result.rule] < SHOWN:
                    shown[result.rule] += 1
                    removed.append(result)
            photos.append({"key": task.item.key, "stamp": task.stamp, "faces": found, "removed": left_out})
        _write_removed(out / REMOVED / f"{number:06d}", removed)

    write_block(out, number, faces(), lambda: photos, config.fingerprint())
    reader.close()
    return len(tasks)


def _write_removed(stem: Path, removed: list[Removed]) -> None:
    for old in stem.parent.glob(f"{stem.name}-*.jpg"):
        old.unlink()
    for index, result in enumerate(removed):
        write_bytes(stem.with_name(f"{stem.name}-{result.rule}-{index:03d}.jpg"), encode_crop(result.crop))


def _in_parallel(blocks: list[tuple], workers: int | None, photos: int) -> Iterator[int]:
    """Do blocks on several processes, a few waiting at a time; gives how many photographs each had."""
    workers = min(workers or os.cpu_count() or 1, len(blocks))
    if workers <= 1 or photos < FEW:
        yield from (do_block(*block) for block in blocks)
        return
    waiting = iter(blocks)
    # Spawned, because forking a process in which PyTorch has started threads can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        running = {pool.submit(do_block, *block) for block in islice(waiting, 2 * workers)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(do_block, *block) for block in islice(waiting, len(done))}
            yield from (future.result() for future in done)


def _one_thread() -> None:
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
