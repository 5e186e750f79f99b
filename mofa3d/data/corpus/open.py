"""From what `--data` names to its faces: a corpus, shards, or a folder of photographs, prepared into a cache."""

from __future__ import annotations

import glob
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mofa3d.camera import Camera
from mofa3d.data.corpus.dataset import SUMMARY, Corpus
from mofa3d.data.corpus.shards import SIZES
from mofa3d.data.corpus.split import held_out, spread, train_and_test
from mofa3d.data.corpus.synthetic_config import SyntheticConfig
from mofa3d.decoder import Decoder
from mofa3d.environment.cache_folder import check_cache
from mofa3d.errors import InputError
from mofa3d.morphable_model import MorphableModel
from mofa3d.scene import Renderer

if TYPE_CHECKING:
    from mofa3d.data.batches.stream import StreamConfig
    from mofa3d.data.corpus.config import PrepareConfig
    from mofa3d.data.streaming.shard_stream import ShardStream

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Faces:
    """Data of one run.

    Attributes:
        dataset: all faces.
        train, test: indices to train on and to report on.
        fact: what to say about them.
        stream: trains on shards in the place of `train`, which is empty then.
    """

    dataset: Corpus
    train: list[int]
    test: list[int]
    fact: str
    stream: ShardStream | None = None

    @property
    def has_landmarks(self) -> bool:
        """Whether any are known of what is trained on; of a stream, of what is held out of it."""
        return bool(self.dataset.confidence[self.train or self.test].any())

    def fingerprints(self) -> dict[str, str]:
        """What a training that learns from these faces must find again when it is resumed."""
        if self.stream is not None:
            held = f"{self.stream.fraction:g} by seed {self.stream.seed}"
            return {"list of shards": self.stream.shards.fingerprint(), "share of held-out faces": held}
        chosen = hashlib.sha256(",".join(map(str, self.train)).encode()).hexdigest()[:16]
        found = {"corpus": self.dataset.fingerprint(), "split into faces to train on and held-out ones": chosen}
        added = {"file of targets": self.dataset.targets, "file of embeddings": self.dataset.embeddings}
        return found | {name: table.fingerprint() for name, table in added.items() if table is not None}

    @property
    def groups(self) -> dict[str, list[bool]]:
        """Rows of a table of the held-out faces: all of them, and each source if there are several."""
        sources = [self.dataset.sources[i] for i in self.test]
        names = sorted(set(sources))
        rows = {name: [source == name for source in sources] for name in names} if len(names) > 1 else {}
        return {"all": [True] * len(self.test), **rows}


def names_shards(data: str) -> bool:
    """Whether a text names shards to stream: a URL, a pattern, an archive, or a folder with ``sizes.json``."""
    if "://" in data:
        from mofa3d.data.remote import is_url

        if is_url(data):
            return True
    path = Path(data).expanduser()
    if (path / SIZES).is_file():
        return True
    return not path.is_dir() and (glob.has_magic(data) or "{" in data or data.endswith(".tar"))


def open_faces(
    data: str,
    synthetic: SyntheticConfig,
    model: MorphableModel,
    render: Renderer,
    cache: Path,
    held_out_fraction: float | None = None,
    seed: int = 0,
    report_images: int = 0,
    streaming: StreamConfig | None = None,
) -> Faces:
    """Synthetic faces (rendered when they are first asked for), a corpus, a folder of photographs, or shards.

    Args:
        data: "synthetic", a folder of photographs, a prepared corpus or its URL, or what names shards (see
            `mofa3d.data.streaming.shard_list.find_shards`).
        synthetic: what synthetic faces look like.
        model: of synthetic faces.
        render: a raster backend with a black background, for synthetic faces.
        cache: where what is made is kept.
        held_out_fraction: of the identities that are kept for the report; ``None`` means the corpus's own choice.
        seed: of that choice.
        report_images: held-out images, evenly spread, that are measured; 0 means all; of a stream, a few hundred.
        streaming: how shards are streamed; ``None`` refuses them.

    Raises:
        InputError: nothing usable, or nothing left to train or to report on.
    """
    is_remote = False
    if data != SYNTHETIC and names_shards(data):
        from mofa3d.data.streaming.open import is_remote_corpus, open_remote_corpus, open_stream

        is_remote = is_remote_corpus(data)
        if not is_remote:
            return open_stream(data, cache, held_out_fraction, seed, report_images, streaming)
    if is_remote:
        corpus = open_remote_corpus(data, cache)
    elif data == SYNTHETIC:
        from mofa3d.data.corpus.synthetic import fingerprint_of, synthesize

        decode = Decoder(model, Camera())
        folder = cache / f"synthetic-{fingerprint_of(synthetic, decode)}"
        corpus = synthesize(synthetic, decode, render, folder)
    else:
        corpus = open_corpus(Path(data), cache)
    out = corpus.held_out.tolist()
    if held_out_fraction is not None:
        out = held_out(corpus.identities, held_out_fraction, seed)
    train, test = train_and_test(corpus.identities, out, data)
    fact = f"{len(corpus)} synthetic faces" if data == SYNTHETIC else f"{data}: {len(corpus)} faces"
    fact += f", {len(test)} held out"
    if report_images:
        test = spread(test, report_images)
        fact += f", {len(test)} of them measured"
    return Faces(corpus, train, test, fact)


def require_codes(corpus: Corpus, model: MorphableModel, name: str) -> None:
    """Fail where the true codes of the faces are not known.

    Args:
        corpus: the faces.
        model: whose codes they must be.
        name: of the data, for messages.

    Raises:
        InputError: photographs, or faces of another model.
    """
    if corpus.codes is None:
        raise InputError(
            f"{name} does not contain the true codes of its faces; train on --data synthetic, or on a corpus of "
            "`mofa3d synthesize`"
        )
    if corpus.summary.get("model") != model.fingerprint():
        raise InputError(
            f"the faces of {name} were rendered from another face model than {model.name!r}; give that model as "
            "--model-path, or synthesize them again"
        )


def open_corpus(data: Path, cache: Path, config: PrepareConfig | None = None, workers: int | None = None) -> Corpus:
    """Open a prepared corpus, or prepare a folder of photographs once and bring it up to date after that.

    Args:
        data: a folder that `mofa3d prepare` wrote, or one of photographs.
        cache: where corpora of plain folders are kept.
        config: how to prepare a plain folder; for both, the split.
        workers: processes; ``None`` means one per core.

    Raises:
        InputError: no folder, no photograph, no usable face in any of them, or a cache that cannot be written.
    """
    data = data.expanduser().resolve()
    if (data / SUMMARY).is_file():
        return Corpus(data)
    if not data.is_dir():
        raise InputError(f"there is no folder {data}; give a folder of photographs, or a corpus of `mofa3d prepare`")
    # Only photographs that have to be prepared need the detectors.
    from mofa3d.data.corpus.config import PrepareConfig
    from mofa3d.data.corpus.prepare import prepare

    name = f"corpus-{data.name}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:12]}"
    check_cache(cache)
    return prepare([data], cache / name, config or PrepareConfig(), workers)
