"""A thousand damaged files of every kind that is opened: each is refused by name, or opened; none is a traceback.

python -m pytest tests/test_hostile_stress.py -m slow -s      # prints its figures
"""

from __future__ import annotations

import json
import os
import queue
import random
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostile_files import (
    damage,
    make_corpus,
    make_edit,
    make_encoder_file,
    make_landmarks,
    make_map,
    make_model,
    make_texture,
    make_wavefront,
)
from programs import ROOT
from tiny_runs import make_tiny_run

WORKER = ROOT / "tests" / "support" / "hostile_worker.py"
SECONDS, MEGABYTES, PART = 30.0, 2000.0, 120
CORPUS_FILES = ("corpus.json", "index.npz", "keys.jsonl", "failures.csv", "shards/000000.json", "shards/000001.tar")


def sources() -> dict[str, Callable[[Path], Path]]:
    """How to write each kind of file, from the tests of its reader."""
    sys.path.insert(0, str(ROOT / "tests" / "models"))
    import face_files
    import test_bfm2009
    import test_bfm2017
    import test_deep3d
    import test_eos
    import test_flame

    face = face_files.make_face()
    flame = test_flame.content_of(face_files.make_face(test_flame.SHAPES, test_flame.EXPRESSIONS))
    return {
        "checkpoint": lambda folder: make_tiny_run(folder) / "checkpoint.pt",
        "encoder": make_encoder_file,
        "model": make_model,
        "bfm2009": lambda folder: test_bfm2009.write(folder, face),
        "bfm2017": test_bfm2017.write,
        "bfm2019": lambda folder: test_bfm2017.write(folder, "bfm2019"),
        "deep3d": test_deep3d.write,
        "flame": lambda folder: test_flame.write(folder / "generic_model.pkl", flame),
        "eos": lambda folder: test_eos.write(folder, test_eos.archive()),
        "texture": make_texture,
        "wavefront": make_wavefront,
        "corpus": make_corpus,
        "edit": make_edit,
        "map": make_map,
        "landmarks": make_landmarks,
    }


def share(kind: str, total: int) -> int:
    """How many of the damaged files are of a kind: corpora have six files each, and checkpoints are large."""
    parts = {"corpus": 6, "checkpoint": 1.5, "encoder": 1, "edit": 2}
    return round(total * parts.get(kind, 1.5) / 27)


def prepared(kind: str, make: Callable[[Path], Path], folder: Path, numbers: range) -> Iterator[Path]:
    """Damaged files of a kind, in folders of their own; number 0 is whole."""
    whole = folder / "whole"
    whole.mkdir(parents=True)
    made = make(whole / "corpus" if kind == "corpus" else whole)
    for number in numbers:
        copied = shutil.copytree(whole, folder / str(number))
        path = copied / made.relative_to(whole)
        if kind == "corpus":
            path = path / CORPUS_FILES[number % len(CORPUS_FILES)]
        if number:
            damage(path, random.Random(f"{kind} {number}"))
        yield path


class Worker:
    """A process that opens files; `answer` is ``None`` once it has died."""

    def __init__(self, tasks: list[tuple[str, Path]], folder: Path) -> None:
        manifest, self.errors = folder / "tasks.json", folder / "errors.txt"
        manifest.write_text(json.dumps([(kind, str(path)) for kind, path in tasks]), encoding="utf-8")
        (folder / "here").mkdir(exist_ok=True)
        alone = {"OMP_NUM_THREADS": "1", "JAXTYPING_DISABLE": "1"}  # as users run it: annotations are not checked
        places = [str(ROOT), str(WORKER.parent), os.environ.get("PYTHONPATH", "")]
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-X",
                    "faulthandler",
                    str(ROOT / "tests" / "support" / "hostile_worker.py"),
                    str(manifest),
                ],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=folder / "here",
                env={**os.environ, **alone, "PYTHONPATH": os.pathsep.join(places)},
            )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def answer(self, seconds: float) -> dict:
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            self.end()
            return {"outcome": "escaped: it takes too long", "seconds": seconds, "memory": 0.0}
        if line:
            return json.loads(line)
        self.process.wait()
        said = self.errors.read_text(errors="replace")[-1500:]
        return {"outcome": f"escaped: status {self.process.returncode}: {said}", "seconds": 0.0, "memory": 0.0}

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def results_of(tasks: list[tuple[str, Path]], folder: Path) -> Iterator[dict]:
    """What became of each task; a worker that dies is followed by another."""
    done = 0
    while done < len(tasks):
        worker = Worker(tasks[done:], folder)
        try:
            assert worker.answer(300).get("ready"), worker.errors.read_text(errors="replace")
            while done < len(tasks) and worker.process.poll() in (None, 0):
                yield worker.answer(SECONDS + 5)
                done += 1
        finally:
            worker.end()


@pytest.mark.slow
def test_a_thousand_damaged_files(tmp_path):
    total = int(os.environ.get("HOSTILE_FILES", "1000"))
    only = os.environ.get("HOSTILE_KIND")
    outcomes: dict[str, Counter[str]] = {}
    faults, slowest, largest = [], 0.0, 0.0
    for kind, make in sources().items():
        if only not in (None, kind):
            continue
        outcomes[kind] = Counter()
        count = share(kind, total)
        for start in range(0, count + 1, PART):
            numbers = range(start, min(start + PART, count + 1))
            folder = tmp_path / kind
            paths = list(prepared(kind, make, folder, numbers))
            results = results_of([(kind, path) for path in paths], folder)
            for number, path, found in zip(numbers, paths, results, strict=True):
                outcome = found["outcome"].partition(":")[0]
                outcomes[kind][outcome] += number > 0
                slowest, largest = max(slowest, found["seconds"]), max(largest, found["memory"])
                if outcome not in ("opened", "refused") or (number == 0 and outcome != "opened"):
                    faults.append(f"{kind} {number} ({path.name}): {found['outcome']}")
            assert not list((folder / "here").iterdir())
            shutil.rmtree(folder)
        sys.stdout.write(f"{kind}: {dict(outcomes[kind])}\n")
    together = sum(outcomes.values(), Counter())
    figures = f"{dict(together)}; slowest {slowest:.1f} s, most memory {largest:.0f} MB"
    sys.stdout.write(f"{together.total()} damaged files: {figures}\n")
    assert not faults, "\n".join(faults)
    assert slowest < SECONDS
    assert largest < MEGABYTES
