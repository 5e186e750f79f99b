"""Small corpora that tests prepare, and what is in them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from mofa3d.data import crop
from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.prepare import prepare
from mofa3d.data.corpus.prune import Limits
from mofa3d.data.corpus.shards import decode_crop, encode_crop
from mofa3d.data.crop import crop_face
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.detect import detect_faces
from mofa3d.data.locate import locate

PHOTOS = ["photos/lfw/Grace_Hopper_0001.jpg", "photos/lfw/IMG_0002.jpg", "photos/own.jpg"]
COPIES = Limits(duplicate_bits=-1)  # the same portrait several times
NOISE = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)


def face_points() -> np.ndarray:
    """68 points of an average face where the portrait's is, pixels."""
    path = Path(crop.__file__).with_name("average_landmarks.json")
    points = np.array(json.loads(path.read_text(encoding="utf-8"))["points"])
    return (np.array([265.0, 245.0]) + 1.35 * points[:, :2] * [1, -1]).astype(np.float32).round(2)


def run(root: Path | list, out: Path, workers: int = 0, **options) -> Corpus:
    options = {"landmarks": "none", "limits": COPIES, **options}
    return prepare(root if isinstance(root, list) else [root], out, PrepareConfig(**options), workers)


def crops(corpus: Corpus) -> np.ndarray:
    """8-bit crops (K, H, W, 3)."""
    return np.stack([(255 * corpus[i]["image"]).round().byte().permute(1, 2, 0).numpy() for i in range(len(corpus))])


def contents(out: Path) -> dict[str, str]:
    """Hash of every shard."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("shards/*.tar"))}


def first_crop(pixels: np.ndarray) -> tuple[np.ndarray, CropTransform]:
    return crop_face(pixels, locate(pixels, detect_faces(pixels)[0]).face)


def expected_crop(pixels: np.ndarray) -> np.ndarray:
    return decode_crop(encode_crop(first_crop(pixels)[0]))
