"""Prepare a corpus: find faces and landmarks, leave out what is no use, and write crops to shards.

The work is cut into blocks of consecutive photographs, and blocks into parts. A block is done when its shard and, after
it, its record are in place; until then what became of each part is kept beside them. All appear whole or not at all.
So a preparation that was killed goes on with the parts that are missing, and ends with the same shards as one that was
not. Later runs keep every block whose photographs have not changed. Only this process writes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from itertools import count
from pathlib import Path

from tqdm import tqdm

from mofa3d.data.corpus.blocks import finished_blocks, write_block
from mofa3d.data.corpus.config import VERSION, Engine, PrepareConfig, digest
from mofa3d.data.corpus.dataset import REMOVED, Corpus, Decisions, finish, is_corpus
from mofa3d.data.corpus.examining import Task, examine_runs
from mofa3d.data.corpus.parts import PART, PARTS, Examined, part_path, read_part, write_part
from mofa3d.data.corpus.report import write_report
from mofa3d.data.corpus.shards import Face
from mofa3d.data.isolated_reader import IsolatedReader
from mofa3d.data.landmark_table import Points, find_landmarks
from mofa3d.data.sources import Item, Reader, find_items
from mofa3d.errors import InputError
from mofa3d.files.folders import take_folder
from mofa3d.files.locks import alone
from mofa3d.files.whole import write_bytes

RunAll = Callable[[list[list[Task]]], Iterator[tuple[int, list[Examined]]]]
SHOWN = 6  # removed faces per rule and block that are kept for the report


def prepare(
    sources: Sequence[str | Path],
    out: Path,
    config: PrepareConfig | None = None,
    workers: int | None = None,
    reader: Callable[[], Reader] = Reader,
    engine: Engine = "local",
) -> Corpus:
    """Prepare a corpus, or bring one up to date.

    Args:
        sources: folders, files, glob patterns; see `mofa3d.data.sources`.
        out: folder of the corpus.
        config: how.
        workers: processes; ``None`` means one per core, of this machine or of a cluster. With 0, everything is done in
            this process, and ends with it if a photograph crashes its decoder; else such a one cannot be used.
        reader: makes what reads photographs; picklable.
        engine: "ray" examines photographs on a Ray cluster; the result is the same.

    Raises:
        InputError: a source without photographs, a malformed table of landmarks, dlib is wanted and missing, or no
            photograph has a usable face. Single photographs that cannot be used are listed in ``failures.csv``.
    """
    config = config or PrepareConfig()
    if workers is None:
        workers = 0 if engine == "ray" else os.cpu_count() or 1
    if workers < 0:
        raise InputError(f"workers must be at least 0 processes, got {workers}")
    with closing(IsolatedReader(reader) if workers or engine == "ray" else reader()) as counting:
        tasks = find_tasks(sources, config, counting)
    take_folder(out, "prepare", known=is_corpus(out))
    with alone(out):
        run_all = partial(examine_runs, config=config, workers=workers, reader=reader, engine=engine)
        return _prepare(sources, tasks, out, config, run_all)


def _prepare(
    sources: Sequence[str | Path], tasks: list[Task], out: Path, config: PrepareConfig, run_all: RunAll
) -> Corpus:
    (out / REMOVED).mkdir(parents=True, exist_ok=True)
    decisions = Decisions(config.limits.duplicate_bits, config.held_out, config.seed)
    about = {
        "sources": [str(source) for source in sources],
        "config": asdict(config),
        "version": VERSION,
        "content": digest([[task.item.key, task.stamp] for task in tasks], config.fingerprint(), asdict(decisions)),
    }
    numbers, left = plan(out, tasks, config)
    if not left and (corpus := _as_it_was(out, about["content"])):
        return corpus
    blocks = dict(zip(numbers, _cut(left, config.block), strict=False))
    with tqdm(total=len(left), desc="preparing", unit="photo", dynamic_ncols=True, disable=not left) as bar:
        for done in _do_blocks(out, blocks, config.fingerprint(), run_all):
            bar.update(done)
    shutil.rmtree(out / PARTS, ignore_errors=True)
    corpus = finish(out, [task.item.key for task in tasks], decisions, about)
    write_report(corpus)
    return corpus


def _as_it_was(out: Path, content: str) -> Corpus | None:
    """The corpus, if the last preparation ended and was of the same photographs and settings."""
    try:
        corpus = Corpus(out)
    except InputError:
        return None
    return corpus if corpus.summary.get("content") == content else None


def find_tasks(sources: Sequence[str | Path], config: PrepareConfig, reader: Reader) -> list[Task]:
    """The photographs of the sources, with their given points; `reader` says how many frames videos have."""
    items = find_items(sources, config.every, reader.count_frames)
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


def _do_blocks(out: Path, blocks: dict[int, list[Task]], fingerprint: str, run_all: RunAll) -> Iterator[int]:
    """Do blocks part by part; gives how many photographs each part had."""
    parts: dict[int, list[Path]] = {}
    missing: list[tuple[int, Path, list[Task]]] = []
    for number, tasks in blocks.items():
        parts[number] = []
        for run in _cut(tasks, PART):
            path = part_path(out, fingerprint, [(task.item.key, task.stamp) for task in run])
            parts[number].append(path)
            if read_part(path) is None:
                missing.append((number, path, run))
            else:
                yield len(run)
    waiting = Counter(number for number, _, _ in missing)

    def join(number: int) -> None:
        photos = (photo for path in parts[number] for photo in read_part(path))
        _write_block(out, number, photos, fingerprint)
        for path in parts[number]:
            path.unlink()

    for number in blocks.keys() - waiting.keys():
        join(number)
    for index, examined in run_all([run for _, _, run in missing]):
        number, path, run = missing[index]
        write_part(path, examined)
        yield len(run)
        waiting[number] -= 1
        if waiting[number] == 0:
            join(number)


def _cut(tasks: list[Task], size: int) -> list[list[Task]]:
    return [tasks[start : start + size] for start in range(0, len(tasks), size)]


def _write_block(out: Path, number: int, photos: Iterable[Examined], fingerprint: str) -> None:
    """Write a block, and a few of the faces that it removed."""
    records, removed = [], []
    shown: Counter[str] = Counter()

    def faces() -> Iterator[tuple[Face, bytes]]:
        for photo in photos:
            yield from photo.faces
            records.append(photo.record)
            for rule, crop in photo.shown:
                if shown[rule] < SHOWN:
                    shown[rule] += 1
                    removed.append((rule, crop))
        _write_removed(out / REMOVED / f"{number:06d}", removed)

    write_block(out, number, faces(), lambda: records, fingerprint)


def _write_removed(stem: Path, removed: list[tuple[str, bytes]]) -> None:
    for old in stem.parent.glob(f"{stem.name}-*.jpg"):
        old.unlink()
    for index, (rule, crop) in enumerate(removed):
        write_bytes(stem.with_name(f"{stem.name}-{rule}-{index:03d}.jpg"), crop)
