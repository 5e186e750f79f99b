"""Preparations whose processes are killed or crash: the photograph is listed, the others are done, nothing is lost."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from crashing_readers import CrashingReader
from PIL import Image

from mofa3d.data.corpus import examining
from mofa3d.data.corpus import prepare as module
from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.parts import PART, Examined, part_path, read_part, write_part
from mofa3d.data.corpus.prepare import prepare
from mofa3d.data.corpus.prune import Limits
from mofa3d.data.corpus.shards import Face
from mofa3d.data.photo import read_photo
from mofa3d.data.sources import Reader

ROOT = Path(__file__).parent.parent.parent
ALL = Limits(duplicate_bits=-1)
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals end processes with other statuses there")


def faces(portrait: Path, root: Path, count: int, *others: str) -> Path:
    """A folder of small portraits, and some with these names."""
    small = cv2.resize(read_photo(portrait), (128, 150), interpolation=cv2.INTER_AREA)
    root.mkdir()
    for shift in range(count):
        Image.fromarray(np.roll(small, shift - count // 2, axis=1)).save(root / f"{shift:04}.png")
    for name in others:
        Image.fromarray(small).save(root / name)
    return root


def contents(out: Path) -> dict[str, str]:
    """Hash of every shard and record."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("shards/*"))}


def reasons(corpus: Corpus) -> dict[str, str]:
    return {failure.photo.partition("/")[2]: failure.reason for failure in corpus.failures}


CRASHING = ("0001 abort.png", "0002 segfault.png", "0003 exit.png")
ENDINGS = ("signal SIGABRT", "signal SIGSEGV", "exit status 7")


def check_listed(corpus: Corpus, root: Path) -> None:
    told = reasons(corpus)
    for name, how in zip(CRASHING, ENDINGS, strict=True):
        assert told[name] == f"{root / name} crashes the program that reads it ({how}); replace it or leave it out"
    with open(corpus.folder / "failures.csv", newline="", encoding="utf-8") as file:
        assert {row[0] for row in csv.reader(file)} >= {f"{root.name}/{name}" for name in CRASHING}


def test_few_photographs_survive_a_crash(portrait, tmp_path):
    root = faces(portrait, tmp_path / "photos", 2, *CRASHING, "0004 once.png")
    corpus = prepare([root], tmp_path / "corpus", PrepareConfig(landmarks="none", limits=ALL), 2, CrashingReader)
    check_listed(corpus, root)
    assert corpus.photos == ["photos/0000.png", "photos/0001.png", "photos/0004 once.png"]


def test_many_photographs_survive_crashes_and_killed_workers_and_end_with_the_same(portrait, tmp_path):
    root = faces(portrait, tmp_path / "photos", 9, *CRASHING, "0004 once.png", "0006 once.png")
    config = PrepareConfig(landmarks="none", limits=ALL, block=5)
    corpus = prepare([root], tmp_path / "corpus", config, 2, CrashingReader)
    assert all(path.with_suffix(".note").exists() for path in root.glob("*once.png"))
    check_listed(corpus, root)
    assert {"photos/0004 once.png", "photos/0006 once.png", "photos/0008.png"} <= set(corpus.photos)
    assert len(reasons(corpus)) + len(corpus) == 14
    again = prepare([root], tmp_path / "again", config, 1, CrashingReader)
    assert contents(again.folder) == contents(corpus.folder)
    assert not (corpus.folder / "parts").exists()


def test_a_photograph_that_crashed_is_left_alone_until_its_file_changes(portrait, tmp_path, monkeypatch):
    root = faces(portrait, tmp_path / "photos", 2, CRASHING[0])
    config = PrepareConfig(landmarks="none", limits=ALL, block=1)
    first = prepare([root], tmp_path / "corpus", config, 1, CrashingReader)
    with monkeypatch.context() as patch:
        patch.setattr(module, "examine_runs", lambda runs, **_: pytest.fail("read again") if runs else iter(()))
        second = prepare([root], tmp_path / "corpus", config, 1, CrashingReader)
    assert reasons(second) == reasons(first) != {}
    os.utime(root / CRASHING[0], (1, 1))
    third = prepare([root], tmp_path / "corpus", config, 1, Reader)
    assert reasons(third) == {}
    assert len(third) == 3


def test_what_is_finished_of_a_block_is_kept(portrait, tmp_path, monkeypatch):
    root = faces(portrait, tmp_path / "photos", 2 * PART + 1)
    config = PrepareConfig(landmarks="none", limits=ALL)
    whole = prepare([root], tmp_path / "whole", config, 0)
    examine, seen = examining.examine, []

    def interrupted(reader, item, *rest):
        if len(seen) == PART + 3:
            raise KeyboardInterrupt
        seen.append(item.key)
        return examine(reader, item, *rest)

    monkeypatch.setattr(examining, "examine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare([root], tmp_path / "corpus", config, 0)
    del seen[:]
    monkeypatch.setattr(examining, "examine", lambda *of: seen.append(of[1].key) or examine(*of))
    corpus = prepare([root], tmp_path / "corpus", config, 0)
    assert seen == [f"photos/{number:04}.png" for number in range(PART, 2 * PART + 1)]
    assert contents(corpus.folder) == contents(whole.folder)
    assert not (corpus.folder / "parts").exists()


def test_parts_come_back_as_they_were_and_damaged_ones_not_at_all(tmp_path):
    face = Face("a/1.jpg", "Ann", 1.25, -2.5, 0.123456789, [[0.1, 0.2]] * 68, [0.5] * 68, True, -3.7, 2**64 - 1)
    photos = [
        Examined("a/1.jpg", "7-8", [(face, b"\xff\xd8 jpeg")], [("blurred", "why, \udcff")], [("blurred", b"\0\1")]),
        Examined("a/2.jpg", "", [], [], []),
    ]
    path = part_path(tmp_path, "f", [("a/1.jpg", "7-8"), ("a/2.jpg", "")])
    write_part(path, photos)
    assert read_part(path) == photos
    others = [part_path(tmp_path, "g", [("a/1.jpg", "7-8")]), part_path(tmp_path, "f", [("a/1.jpg", "7-9")])]
    assert len({path, *others}) == 3
    content = path.read_text()
    odd = content.replace("0.123456789", "NaN"), content.replace('"a/1.jpg"', "3"), content.replace('"Ann"', "null")
    for damaged in (content[:-40], "[1]", "{}x", "[[]]", *odd):
        path.write_text(damaged)
        assert read_part(path) is None
    assert read_part(others[0]) is None


def test_faults_of_ours_name_the_photograph(portrait, tmp_path, monkeypatch):
    root = faces(portrait, tmp_path / "photos", 1)

    def faulty(*_):
        raise IndexError("list index out of range")

    monkeypatch.setattr(examining, "examine", faulty)
    with pytest.raises(RuntimeError, match=r"photos/0000\.png could not be examined") as error:
        prepare([root], tmp_path / "corpus", PrepareConfig(landmarks="none"), 0)
    assert isinstance(error.value.__cause__, IndexError)


def test_a_number_of_processes_below_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="workers must be at least 0 processes, got -1"):
        prepare([tmp_path], tmp_path / "corpus", workers=-1)


def running(processes: set[int]) -> set[int]:
    """Those that are still there, and no zombies."""
    left = set()
    for process in processes:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            left.add(process)
    return left


def children(parent: int) -> set[int]:
    """Processes that a process has started."""
    found = set()
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        try:
            found |= {int(child) for child in task.read_text().split()}
        except OSError:
            continue
    return found


def start(root: Path, out: Path) -> subprocess.Popen:
    program = (
        "import sys; sys.path += ['tests/support']\n"
        "from crashing_readers import CrashingReader\n"
        "from mofa3d.data.corpus.prepare import PrepareConfig, prepare\n"
        "from mofa3d.data.corpus.prune import Limits\n"
        "config = PrepareConfig(landmarks='none', limits=Limits(duplicate_bits=-1), block=48)\n"
        "prepare([sys.argv[1]], __import__('pathlib').Path(sys.argv[2]), config, 2, CrashingReader)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(root), str(out)], cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def kept(out: Path) -> int:
    """Photographs that blocks and parts have."""
    keys = set()
    for path in [*out.glob("shards/[0-9]*.json"), *out.glob("parts/[0-9a-f]*.json")]:
        with suppress(FileNotFoundError):  # the part of a block that has just been written
            content = json.loads(path.read_text())
            keys |= {photo["key"] for photo in (content["photos"] if isinstance(content, dict) else content)}
    return len(keys)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes as Linux lists them")
def test_eight_kills_and_three_killed_workers_and_a_crash_end_with_the_same_bytes(portrait, tmp_path, capsys):
    root = faces(portrait, tmp_path / "photos", 500, CRASHING[0])
    config = PrepareConfig(landmarks="none", limits=ALL, block=48)
    whole = prepare([root], tmp_path / "whole", config, 2, CrashingReader)
    random, out = np.random.default_rng(0), tmp_path / "killed"
    progress, gone = [], []
    for kill in range(8):
        process = start(root, out)
        # The kill before may have come when there was enough for this one: then workers begin only now.
        while kept(out) < min(450, (kill + 1) * 50) or len(children(process.pid)) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.5 * random.random())
        workers = children(process.pid)
        assert len(workers) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed = time.monotonic()
        while running(workers):
            assert time.monotonic() - killed < 5, "workers outlive their parent"
            time.sleep(0.01)
        gone.append(time.monotonic() - killed)
        progress.append(kept(out))
    assert progress == sorted(progress)  # nothing that was kept is lost
    process, victims = start(root, out), set()
    while len(victims) < 3 and process.poll() is None:
        fresh = children(process.pid) - victims
        if fresh:
            time.sleep(0.7)
            victim = min(fresh)
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:  # the photograph that crashes it was faster
                continue
            victims.add(victim)
    assert process.wait(timeout=300) == 0
    assert contents(out) == contents(whole.folder)
    assert Corpus(out).photos == whole.photos
    assert list(reasons(Corpus(out))) == list(reasons(whole))
    assert CRASHING[0] in reasons(whole)
    with capsys.disabled():
        print(  # noqa: T201
            f"8 kills at {progress} of 501 photographs; workers were gone after {max(gone):.2f} s at the latest; "
            f"{len(victims)} workers killed after that; {len(contents(out))} files the same"
        )
