"""Opens damaged files one after the other and says what became of each: a process of its own, which may die.

    python hostile_worker.py TASKS

TASKS is a JSON list of kinds and paths; a line of JSON is printed for each. Memory is limited to 2 GB beyond what the
imports take, where the system can do that.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

from mofa3d.errors import InputError

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from tiny_model import make_tiny_model  # noqa: E402

from mofa3d.camera import Camera  # noqa: E402
from mofa3d.data.corpus.blocks import finished_blocks, read_records  # noqa: E402
from mofa3d.data.corpus.dataset import Corpus  # noqa: E402
from mofa3d.data.corpus.shards import read_shard  # noqa: E402
from mofa3d.data.landmark_table import read_landmarks  # noqa: E402
from mofa3d.decoder import Decoder  # noqa: E402
from mofa3d.editing.composite import composite  # noqa: E402
from mofa3d.editing.lighting import environment_light, read_environment  # noqa: E402
from mofa3d.encoders.checkpoint import open_run  # noqa: E402
from mofa3d.models import load_model  # noqa: E402
from mofa3d.models.flame_texture import read_texture  # noqa: E402
from mofa3d.models.formats.obj import read_wavefront  # noqa: E402
from mofa3d.models.sanity import check  # noqa: E402
from mofa3d.morphable_model import read_model  # noqa: E402
from mofa3d.reconstruction.reopen import reopen  # noqa: E402
from mofa3d.renderers import make_renderer  # noqa: E402
from mofa3d.training.checkpoint import restore  # noqa: E402
from mofa3d.training.mofa import TrainingConfig, make_optimizer  # noqa: E402

MOST = 2 * 10**9


def open_checkpoint(path: Path) -> None:
    encoder, _ = open_run(path)
    if path.suffix == ".pt":
        restore(path, encoder, make_optimizer(encoder, TrainingConfig()), {})


def open_source(name: str, landmarks: bool = True):
    from face_files import make_face, make_reference

    options = {"landmarks": make_face().landmarks.tolist(), "reference": make_reference()} if landmarks else {}
    return lambda path: check(load_model(name, path=path, **options))


def open_corpus(path: Path) -> None:
    """Everything that reads a corpus; `path` is the damaged file in it."""
    folder = path.parent.parent if path.parent.name == "shards" else path.parent
    corpus = Corpus(folder)
    for index in range(len(corpus)):
        corpus[index]
    _ = corpus.failures
    for shard in sorted((folder / "shards").glob("*.tar")):
        list(read_shard(shard))
    list(read_records(folder))
    finished_blocks(folder, lambda fingerprint, photos: True)


def open_edit(path: Path) -> None:
    decode = Decoder(make_tiny_model(), Camera(120))
    opened = reopen(path.parent, decode)
    render, sharp = make_renderer("cpu"), make_renderer("cpu", antialias=False)
    composite(opened.photo, opened.face, opened.face.scene, decode.model, render, sharp)


def open_map(path: Path) -> None:
    light = environment_light(*read_environment(path))
    if not bool(light.isfinite().all()):
        raise RuntimeError("the light is not finite")


def opened_with() -> dict:
    return {
        "checkpoint": open_checkpoint,
        "encoder": open_checkpoint,
        "model": lambda path: check(read_model(path)),
        "bfm2009": open_source("bfm2009"),
        "bfm2017": open_source("bfm2017"),
        "bfm2019": open_source("bfm2019"),
        "deep3d": open_source("deep3d", landmarks=False),
        "flame": open_source("flame"),
        "eos": open_source("eos"),
        "texture": lambda path: read_texture(path, None),
        "wavefront": read_wavefront,
        "corpus": open_corpus,
        "edit": open_edit,
        "map": open_map,
        "landmarks": read_landmarks,
    }


def limit_memory() -> None:
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MOST
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (ImportError, OSError, ValueError):  # another system
        pass


def peak_memory() -> float:
    """MB, of the whole process; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def outcome_of(function, path: Path) -> str:
    try:
        function(path)
    except (InputError, OSError) as error:
        named = path.name in str(error) or str(path.parent) in str(error)
        return "refused" if named else f"without its name: {type(error).__name__}: {error}"
    except BaseException as error:
        return f"escaped: {type(error).__name__}: {error}"
    return "opened"


def say(content: dict) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def main() -> None:
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    functions = opened_with()
    tasks = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    limit_memory()
    say({"ready": True})
    for kind, path in tasks:
        began = time.monotonic()
        outcome = outcome_of(functions[kind], Path(path))
        seconds = time.monotonic() - began
        say({"outcome": outcome[:2000], "seconds": seconds, "memory": peak_memory()})


if __name__ == "__main__":
    main()
