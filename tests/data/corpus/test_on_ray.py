"""A corpus that Ray's workers prepare or render has the bytes of one that this machine makes, also after deaths."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from counted_tasks import Doubled
from crashing_readers import CrashingReader
from PIL import Image
from prepared_corpus import COPIES

from mofa3d.camera import Camera
from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.prepare import prepare
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.data.photo import read_photo
from mofa3d.decoder import Decoder
from mofa3d.environment import on_ray
from mofa3d.environment.on_ray import run_on_ray
from mofa3d.errors import InputError
from mofa3d.renderers import make_renderer

ROOT = Path(__file__).parents[3]


def test_without_ray_one_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"--engine ray needs Ray; install it: pip install mofa3d\[ray\]"):
        next(run_on_ray(abs, [1]))
    assert list(run_on_ray(abs, [])) == []  # nothing to do needs nothing


@pytest.fixture(scope="module")
def ray():
    """A cluster of two workers on this machine, which find the tests' modules."""
    ray = pytest.importorskip("ray")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )  # fmt: skip
    yield ray
    ray.shutdown()


def files(corpus: Corpus) -> dict[str, bytes]:
    """What a corpus holds, but for the report with the folder's name."""
    found = {
        path for name in ("shards/*", "removed/*", "*.npz", "*.jsonl", "*.csv") for path in corpus.folder.glob(name)
    }
    return {path.relative_to(corpus.folder).as_posix(): path.read_bytes() for path in sorted(found)}


@pytest.mark.slow
class TestTasks:
    def test_a_lost_worker_s_task_is_done_again(self, ray, tmp_path):
        assert dict(run_on_ray(Doubled(tmp_path), range(8))) == {number: 2 * number for number in range(8)}
        attempts = {number: len(list(tmp_path.glob(f"{number}-*"))) for number in range(8)}
        assert attempts == {number: 2 if number == 3 else 1 for number in range(8)}

    def test_mistakes_come_through_and_what_kills_every_worker_ends_it(self, ray, tmp_path, monkeypatch):
        with pytest.raises(KeyError, match="five"):
            dict(run_on_ray(Doubled(tmp_path, mistakes=True), [4, 5, 6]))
        monkeypatch.setattr(on_ray, "MOST_LOST", 2)
        with pytest.raises(RuntimeError, match="2 workers were lost at the same task"):
            dict(run_on_ray(os._exit, [1]))


@pytest.mark.slow
class TestCorpora:
    @pytest.fixture
    def photos(self, tmp_path, portrait) -> Path:
        """Forty small portraits, one that crashes decoders, and one without a face."""
        small = cv2.resize(read_photo(portrait), (128, 150), interpolation=cv2.INTER_AREA)
        (tmp_path / "photos").mkdir()
        for shift in range(40):
            Image.fromarray(np.roll(small, shift - 20, axis=1)).save(tmp_path / "photos" / f"{shift:04}.png")
        Image.fromarray(small).save(tmp_path / "photos" / "0007 abort.png")
        Image.fromarray(np.zeros_like(small)).save(tmp_path / "photos" / "black.png")
        return tmp_path / "photos"

    CONFIG = PrepareConfig(landmarks="none", limits=COPIES, block=12)

    def test_prepared_as_by_this_machine_alone(self, ray, photos, tmp_path):
        local = prepare([photos], tmp_path / "local", self.CONFIG, 1, CrashingReader)
        there = prepare([photos], tmp_path / "ray", self.CONFIG, None, CrashingReader, "ray")
        assert files(there) == files(local)
        assert there.summary == local.summary
        assert {Path(failure.photo).name for failure in there.failures} >= {"0007 abort.png", "black.png"}
        assert (there.folder / "report.html").is_file()

    def test_prepared_the_same_while_workers_are_killed(self, ray, photos, tmp_path):
        local = prepare([photos], tmp_path / "local", self.CONFIG, 1, CrashingReader)
        done, killed = threading.Event(), []

        def kill() -> None:
            while not done.wait(0.5) and len(killed) < 4:
                for name in Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        busy = name.read_bytes().startswith(b"ray::_do")
                    except OSError:  # it has ended
                        continue
                    if busy:
                        os.kill(int(name.parent.name), signal.SIGKILL)
                        killed.append(int(name.parent.name))
                        time.sleep(1)
                        break

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        try:
            there = prepare([photos], tmp_path / "ray", self.CONFIG, 2, CrashingReader, "ray")
        finally:
            done.set()
            killer.join()
        assert killed
        assert files(there) == files(local)

    def test_rendered_as_by_this_machine_alone(self, ray, tiny_model, tmp_path):
        config, decode, render = SyntheticConfig(count=600), Decoder(tiny_model, Camera(32)), make_renderer("cpu")
        local = synthesize(config, decode, render, tmp_path / "local")
        there = synthesize(config, decode, render, tmp_path / "ray", "ray")
        assert files(there) == files(local)
        assert len(there) == 600
