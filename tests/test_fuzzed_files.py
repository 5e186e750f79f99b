"""Thousands of damaged image files: each is read or refused with its name, and nothing else happens."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fuzzing import Guarded, damaged, samples
from PIL import Image

from mofa3d.environment.isolation import DiedError, Worker

ROOT = Path(__file__).parent.parent
GIGABYTES, SECONDS = 2.0, 30.0
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits its memory as Linux does")


@pytest.fixture(scope="module")
def originals(portrait) -> dict[str, bytes]:
    return samples(Image.open(portrait).convert("RGB").crop((100, 60, 440, 400)).resize((96, 96)))


def mutants(originals: dict[str, bytes], count: int) -> list[tuple[str, bytes]]:
    """Damaged files, of every format the same number."""
    names, files = list(originals), []
    for number in range(count):
        random, name = np.random.default_rng(number), names[number % len(names)]
        other = originals[names[int(random.integers(len(names)))]]
        files.append((f"{number:05} {name}", damaged(originals[name], other, random)))
    return files


def check(files: list[tuple[str, bytes]]) -> Counter[str]:
    """Read and search files in a process of limited memory; counts what came of them."""
    counts, slowest = Counter(), (0.0, "")
    with closing(Worker(partial(Guarded, GIGABYTES))) as worker:
        for start in range(0, len(files), 50):
            part = files[start : start + 50]
            done = 0
            try:
                for (name, _), (kind, result, seconds) in zip(part, worker.answers(part), strict=True):
                    done += 1
                    counts[kind] += 1
                    slowest = max(slowest, (seconds, name))
                    assert kind in ("read", "refused"), f"{name}: {result}"
                    assert kind == "read" or str(result).startswith(name), f"{name}: {result}"
                    assert "needs more memory" not in str(result), name
            except DiedError as death:
                pytest.fail(f"{part[done][0]} ended its process ({death})")
    assert slowest[0] < SECONDS, slowest
    print(f"{len(files)} files: {dict(counts)}; the slowest took {slowest[0]:.2f} s ({slowest[1]})")  # noqa: T201
    return counts


@linux
def test_originals_are_read_and_no_format_runs_another_program(originals):
    assert len({name.rpartition(".")[2] for name in originals}) >= 20
    counts = check(list(originals.items()))
    assert counts == {"read": len(originals) - 1, "refused": 1}  # EPS


@linux
def test_a_few_damaged_files_are_read_or_refused(originals):
    assert check(mutants(originals, 350)).total() == 350


@linux
@pytest.mark.slow
def test_ten_thousand_damaged_files_are_read_or_refused(originals, capsys):
    with capsys.disabled():
        counts = check(mutants(originals, 10_000))
    assert counts.total() == 10_000
    assert min(counts["read"], counts["refused"]) > 1000


@pytest.mark.slow
@pytest.mark.parametrize("command", ["reconstruct", "prepare"])
def test_commands_list_each_damaged_file_and_write_into_their_folder_alone(originals, portrait, tmp_path, command):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "good.jpg").write_bytes(portrait.read_bytes())
    for number, (name, content) in enumerate(mutants(originals, 300)):
        suffix = (".jpg", ".png", ".webp", ".tif")[number % 4]
        (photos / f"{Path(name).stem}{suffix}").write_bytes(content)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    options = ["--formats", "ply"] if command == "reconstruct" else ["--landmarks", "none"]
    done = subprocess.run(
        [sys.executable, "-m", "mofa3d", command, str(photos), "--out", str(tmp_path / "out"), *options],
        capture_output=True, text=True, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path / "out")}, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == (2 if command == "reconstruct" else 0), done.stderr[-2000:]
    with open(tmp_path / "out" / "failures.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        listed = [row[0] for row in csv.reader(file)][1:]
    assert 100 < len(listed) < 301
    assert not any(name.endswith("good.jpg") for name in listed)
    outside = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if tmp_path / "out" not in path.parents}
    assert {path for path in outside if path != tmp_path / "out"} == before.keys()
    assert {path: outside[path] for path in before} == before
