"""What a training has left in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from mofa3d.encoders.checkpoint import read_checkpoint
from mofa3d.semantic_code import CodeSizes

SIZES = CodeSizes(5, 4, 6)


def lines(out) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def saved(out: Path) -> int:
    return read_checkpoint(out / "checkpoint.pt")["progress"]["iteration"]


def content_of(out: Path) -> tuple[dict, list[dict]]:
    """Everything that a training comes to, but for its times, and for what checks of types draw."""
    content = read_checkpoint(out / "checkpoint.pt")
    del content["progress"]["seconds"], content["random"]["python"]
    return content, [{name: value for name, value in line.items() if name != "seconds"} for line in lines(out)]


def assert_equal(ours: object, theirs: object) -> None:
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_equal(ours[key], theirs[key])
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs)
        for pair in zip(ours, theirs, strict=True):
            assert_equal(*pair)
    elif isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs
