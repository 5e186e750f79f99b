"""Tiny valid files of every kind that is opened, and what accidents and attackers make of them."""

from __future__ import annotations

import copy
import json
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import scipy.io
import torch
from landmark_tables import write_landmarks
from PIL import Image
from safetensors.numpy import load_file, save_file
from tiny_model import make_code, make_tiny_model
from tiny_runs import make_tiny_run

from mofa3d.data.corpus.blocks import write_block
from mofa3d.data.corpus.dataset import Decisions, finish
from mofa3d.data.corpus.shards import Face, encode_crop
from mofa3d.data.failures import Failure, list_failures
from mofa3d.encoders.checkpoint import read_checkpoint, write_encoder
from mofa3d.export import write_code
from mofa3d.morphable_model import save_model

ODD_VALUES = (None, True, -1, 0, 2**63, 10**400, 1e39, -1e39, float("nan"), float("inf"), "text", "", [], {}, [[]],
              "\ud800", "../../outside", [1] * 1000)  # fmt: skip
KEYS = [f"photos/Name{number}_Surname_0001.jpg" for number in range(6)]


def make_corpus(folder: Path) -> Path:
    """Six faces in two blocks, with landmarks and codes, and one photograph without a face."""
    (folder / "shards").mkdir(parents=True)
    chance = np.random.default_rng(0)
    for block in range(2):
        names = KEYS[3 * block : 3 * block + 3]
        about = {"landmarks": [[3.0, 4.0]] * 68, "confidence": [0.5] * 68, "code": [0.25] * 9, "yaw": 3.0}
        crops = [encode_crop(chance.integers(0, 255, (16, 16, 3), np.uint8)) for _ in names]
        made = [Face(key, key[7:12], hash=int(key[11]) << 40, **about) for key in names]
        faces = list(zip(made, crops, strict=True))
        photos = [{"key": key, "stamp": "1-2", "faces": 1, "removed": [["grey", "it is grey"]]} for key in names]
        write_block(folder, block, faces, lambda photos=photos: photos, "f")
    finish(folder, KEYS, Decisions(), {"about": "a test"})
    list_failures(folder / "failures.csv", [Failure("a.jpg", "it shows no face")])
    return folder


def make_edit(folder: Path) -> Path:
    """A reconstruction's code beside its photograph."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (320, 300), "grey").save(folder / "photo.png")
    crop = {"left": 40.0, "top": 30.0, "scale": 0.5}
    write_code(folder / "code.json", make_code(1, dtype=torch.float32), {"photo": "photo.png", "crop": crop})
    return folder / "code.json"


def make_map(folder: Path) -> Path:
    picture = np.random.default_rng(0).random((16, 32, 3)).astype(np.float32)
    cv2.imwrite(str(folder / "map.hdr"), picture)
    return folder / "map.hdr"


def make_encoder_file(folder: Path) -> Path:
    make_tiny_run(folder)
    write_encoder(folder / "encoder.safetensors", read_checkpoint(folder / "checkpoint.pt"))
    (folder / "checkpoint.pt").unlink()
    return folder / "encoder.safetensors"


def make_model(folder: Path) -> Path:
    save_model(make_tiny_model(), folder / "model.safetensors")
    return folder / "model.safetensors"


def make_landmarks(folder: Path) -> Path:
    points = np.random.default_rng(0).random((68, 2)) * 200
    write_landmarks(folder / "landmarks_68.csv", {f"{number}.jpg": points for number in range(3)})
    return folder / "landmarks_68.csv"


def make_wavefront(folder: Path) -> Path:
    lines = [f"v {x}.5 {y} 1" for x in range(4) for y in range(4)] + [f"vt 0.{n} 0.5" for n in range(9)]
    lines += [f"f {n}/1 {n + 1}/2 {n + 4}/3" for n in range(1, 11)]
    (folder / "mesh.obj").write_text("\n".join(lines) + "\n")
    return folder / "mesh.obj"


def make_texture(folder: Path) -> Path:
    chance = np.random.default_rng(0)
    np.savez(folder / "FLAME_texture.npz", mean=chance.random((8, 8, 3)), tex_dir=chance.random((8, 8, 3, 4)))
    return folder / "FLAME_texture.npz"


def damage_bytes(raw: bytes, chance: random.Random) -> bytes:
    """One accident to a file's bytes."""
    data, size = bytearray(raw), max(1, len(raw))
    # Headers and their fields lie at the beginning, and lists of parts at the end.
    place = min(size - 1, int(size * chance.choice((0, 0, 1)) * chance.random() + chance.randrange(min(size, 600))))
    kind = chance.randrange(7)
    if kind == 0:
        for _ in range(chance.randint(1, 16)):
            data[min(size - 1, place + chance.randrange(64))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        del data[chance.randrange(size) :]
    elif kind == 2:
        odd = chance.choice((float("nan"), float("inf"), -3e38, 3e38))
        part = struct.pack(chance.choice(("<d", ">d", "<f")), odd)
        data[place : place + len(part)] = part
    elif kind == 3:
        data[place : place + 4] = chance.choice((4 * b"\xff", b"\xff\xff\xff\x7f", bytes(4), b"\0\xff\xff\xff"))
    elif kind == 4:
        data[place:place] = chance.randbytes(chance.randint(1, 300))
    elif kind == 5:
        del data[place : place + chance.randint(1, 300)]
    else:
        data[place : place + 100] = chance.randbytes(100)
    return bytes(data)


def damage_value(content: object, chance: random.Random) -> object:
    """A copy of nested values of which one is odd or missing."""
    content = copy.deepcopy(content)
    place = content
    while True:
        names = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not names:
            return chance.choice(ODD_VALUES)
        name = chance.choice(names)
        inner = place[name]
        if isinstance(inner, dict | list) and inner and chance.random() < 0.75:
            place = inner
            continue
        if isinstance(inner, np.ndarray):
            place[name] = damage_array(inner, chance)
        elif isinstance(inner, torch.Tensor):
            place[name] = torch.from_numpy(np.ascontiguousarray(damage_array(inner.numpy(), chance)))
        elif chance.random() < 0.2:
            del place[name]
        else:
            place[name] = chance.choice(ODD_VALUES)
        return content


def damage_array(array: np.ndarray, chance: random.Random) -> np.ndarray:
    """The same array of another type, shape or with other numbers."""
    changes: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda a: a[..., None], lambda a: a.ravel()[:-1], lambda a: a[:0], lambda a: np.concatenate([a, a]),
        lambda a: a.astype(np.float64) * 1e30, lambda a: a.astype(np.float32) * np.nan,
        lambda a: -a.astype(np.int64) - 1, lambda a: a.astype(np.int64) + 2**40, lambda a: a.astype(np.float16),
        lambda a: a.astype(bool),
        lambda a: np.zeros_like(a), lambda a: np.array(3.0), lambda a: a.astype(np.uint8),
        lambda a: np.where(np.arange(a.size).reshape(a.shape) == a.size // 2, np.inf, a),
        lambda a: a.astype(np.float64) / 1e30,
    ]  # fmt: skip
    with np.errstate(all="ignore"):
        return chance.choice(changes)(np.atleast_1d(array))


def damage_json(raw: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return b"[" * 100_000
    lines = raw.decode().strip().split("\n")
    if len(lines) > 1 and lines[0] != "{":  # a value in each line
        number = chance.randrange(len(lines))
        lines[number] = json.dumps(damage_value(json.loads(lines[number]), chance))
        return "\n".join(lines).encode()
    return json.dumps(damage_value(json.loads(raw), chance)).encode()


def damage_checkpoint(path: Path, chance: random.Random) -> None:
    torch.save(damage_value(torch.load(path, weights_only=True), chance), path)


def damage_tensors(path: Path, chance: random.Random) -> None:
    metadata = {"mofa3d": json.dumps({"name": "tiny"})}
    changed = damage_value(load_file(path), chance)
    kept = {name: np.ascontiguousarray(array) for name, array in changed.items() if isinstance(array, np.ndarray)}
    save_file(kept, path, metadata)


def damage_mat(path: Path, chance: random.Random) -> None:
    content = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
    name = chance.choice(list(content))
    odd = [damage_array(content[name], chance), "text", {"a": 1}, np.array([[1, "a"]], dtype=object), None]
    value = odd[0] if chance.random() < 0.7 else chance.choice(odd)
    content = {**content, name: value} if value is not None else {n: v for n, v in content.items() if n != name}
    scipy.io.savemat(path, content, do_compression=chance.random() < 0.5)


def damage_hdf5(path: Path, chance: random.Random) -> None:
    import h5py

    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visititems(lambda name, place: names.append(name) if isinstance(place, h5py.Dataset) else None)
        name = chance.choice(names)
        value = file[name][()]
        del file[name]
        if chance.random() < 0.1:
            file.create_group(name)
        elif chance.random() < 0.1:
            file[name] = "text"
        elif isinstance(value, np.ndarray):
            file[name] = damage_array(value, chance)


def damage_pickle(path: Path, chance: random.Random) -> None:
    content = pickle.loads(path.read_bytes())  # written by these tests
    path.write_bytes(pickle.dumps(damage_value(content, chance), protocol=chance.choice((0, 1, 2, 3, 4))))


def damage_npz(path: Path, chance: random.Random) -> None:
    with np.load(path) as archive:
        changed = damage_value(dict(archive.items()), chance)
    np.savez(path, **{name: np.asarray(value) for name, value in changed.items()})


BY_SUFFIX: dict[str, Callable[[Path, random.Random], None]] = {
    ".pt": damage_checkpoint, ".safetensors": damage_tensors, ".mat": damage_mat, ".h5": damage_hdf5,
    ".pkl": damage_pickle, ".npz": damage_npz,
}  # fmt: skip


def damage(path: Path, chance: random.Random) -> None:
    """Change a file: its bytes, or one of its fields."""
    by_field = BY_SUFFIX.get(path.suffix)
    if chance.random() < 0.5 and by_field is not None:
        try:
            by_field(path, chance)
            return
        except (TypeError, ValueError, OverflowError, NotImplementedError, pickle.PicklingError, UnicodeError):
            pass  # what its own writer refuses can only be made of bytes
    raw = path.read_bytes()
    if chance.random() < 0.6 and path.suffix in (".json", ".jsonl"):
        path.write_bytes(damage_json(raw, chance))
    else:
        path.write_bytes(damage_bytes(raw, chance))
