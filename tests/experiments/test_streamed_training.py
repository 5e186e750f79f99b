"""A training on a corpus behind a URL, or on its shards, is that on the corpus."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest
from file_server import serving
from training_program import config, train_mofa

from mofa3d.camera import Camera
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.renderers import make_renderer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus(workplace, tmp_path_factory) -> Path:
    """Forty-eight rendered faces."""
    from mofa3d.models import load_model

    decode = Decoder(load_model("makehuman", path=str(workplace / "tiny.safetensors")), Camera())
    render = make_renderer("cpu", antialias=False)
    return synthesize(SyntheticConfig(count=48), decode, render, tmp_path_factory.mktemp("corpus")).folder


def losses(workplace: Path, out: Path, data: str, **changes) -> list[dict]:
    options = {"iterations": 20, "held_out": 0.25, "landmarks": True, **changes}
    train_mofa.main(config(workplace, data=data, out=out, **options))
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if "seconds" not in name} for line in log]


def test_over_http_and_from_memory_as_here(workplace, corpus, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.put(str(corpus), "/corpus", recursive=True)
    try:
        with serving(corpus) as server:
            urls = {"here": str(corpus), "http": server.url, "memory": "memory://corpus"}
            logs = {name: losses(workplace, tmp_path / name, url) for name, url in urls.items()}
            shards = {"here": f"{corpus}/shards", "http": f"{server.url}/shards", "memory": "memory://corpus/*/*.tar"}
            streamed = {name: losses(workplace, tmp_path / f"s {name}", url) for name, url in shards.items()}
    finally:
        memory.rm("/corpus", recursive=True)
    for found in (logs, streamed):
        assert [line["iteration"] for line in found["here"]] == [10, 20]
        assert found["http"] == found["here"]
        assert found["memory"] == found["here"]
    report = json.loads((tmp_path / "s http" / "report.json").read_text(encoding="utf-8"))
    assert "48 faces in 1 shards of 1 folders, 25.0% of the people held out" in report["facts"]["data"]
    assert report["after"]["all"]["images"] > 3


def test_a_stream_is_resumed_with_the_same_batches(workplace, corpus, tmp_path):
    options = {"data": f"{corpus}/shards", "preset": "paper"}  # whose rates do not depend on the end
    whole = losses(workplace, tmp_path / "whole", iterations=20, **options)
    losses(workplace, tmp_path / "parts", iterations=10, **options)
    assert losses(workplace, tmp_path / "parts", iterations=20, resume=True, **options) == whole


def test_what_needs_an_index_is_refused(workplace, corpus, tmp_path):
    with pytest.raises(InputError, match="--targets, --embeddings and --even-sources need the index of a corpus"):
        losses(workplace, tmp_path / "out", f"{corpus}/shards", even_sources=True)
