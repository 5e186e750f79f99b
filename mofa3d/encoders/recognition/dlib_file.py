"""Networks that dlib has written: its serialization, as far as the face recognition network needs it.

A file begins with the loss and a version for each layer; then come the layers, from the input to the output, each with
its numbers and with buffers that trainings need and that are empty here. Integers have a byte with their length and
sign; real numbers are a mantissa and an exponent, and those of tensors plain float32.

Reference: King 2009, "Dlib-ml"; dlib/dnn/core.h, layers.h and tensor.h of release 20.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mofa3d.errors import InputError
from mofa3d.files.given import check_file, naming_file

MOST_BYTES = 200_000_000
INPUT_VERSION = 3  # of the layer that the input goes into; all others have 1 or 2
VERSIONS = (1, 2)
MOST_LENGTH = 1 << 31  # of any side of a tensor
LOSS, INPUT = "loss_metric_2", "input_rgb_image_sized"


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Attributes:
        kind: con, affine, relu, max_pool, avg_pool, add_prev or fc.
        settings: its integers, as dlib calls them.
        values: its parameters in a row; empty where it has none.
    """

    kind: str
    settings: dict[str, int] = field(default_factory=dict)
    values: Float[np.ndarray, "P"] = field(default_factory=lambda: np.zeros(0, dtype=np.float32))


@dataclass(frozen=True)
class DlibNetwork:
    """What a file says.

    Attributes:
        means: what is subtracted from red, green and blue, 0 to 255.
        size: side of the square picture.
        layers: from the input to the output.
    """

    means: tuple[float, float, float]
    size: int
    layers: list[Layer]


class Reader:
    """Takes one value after the other out of what dlib has written."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.content):
            raise InputError(f"it ends after {len(self.content)} bytes, in the middle of a value")
        self.at += count
        return self.content[self.at - count : self.at]

    def integer(self) -> int:
        head = self.take(1)[0]
        size = head & 0x0F
        if head & 0x70 or not 1 <= size <= 8:
            raise InputError(f"byte {self.at - 1} is {head}, which begins no integer")
        value = int.from_bytes(self.take(size), "little")
        return -value if head & 0x80 else value

    def real(self) -> float:
        mantissa, exponent = self.integer(), self.integer()
        if abs(exponent) > 1000:
            raise InputError(f"a number before byte {self.at} has the exponent {exponent}")
        return math.ldexp(mantissa, exponent)

    def text(self) -> str:
        size = self.integer()
        if not 0 <= size <= 100:
            raise InputError(f"a name before byte {self.at} has {size} letters")
        return self.take(size).decode("ascii", "replace")

    def skip_flag(self) -> None:
        if (flag := self.take(1)) not in (b"0", b"1"):
            raise InputError(f"byte {self.at - 1} is {flag[0]}, which is neither yes nor no")

    def shape(self) -> tuple[int, ...]:
        sides = tuple(self.integer() for _ in range(4))
        if any(not 0 <= side < MOST_LENGTH for side in sides):
            raise InputError(f"a tensor before byte {self.at} has the shape {sides}")
        return sides

    def tensor(self) -> Float[np.ndarray, "P"]:
        """The numbers in a row; shapes are told by the layers' settings."""
        if (version := self.integer()) != 2:
            raise InputError(f"a tensor before byte {self.at} is of version {version}, expected 2")
        size = math.prod(self.shape())
        values = np.frombuffer(self.take(4 * size), dtype="<f4").astype(np.float32)
        if not np.isfinite(values).all():
            raise InputError(f"a tensor before byte {self.at} holds numbers that are not finite")
        return values

    def settings(self, *names: str) -> dict[str, int]:
        return {name: self.integer() for name in names}


WINDOW = ("nr", "nc", "stride_y", "stride_x", "padding_y", "padding_x")


def _con(reader: Reader) -> Layer:
    values = reader.tensor()
    settings = reader.settings("filters", *WINDOW)
    _skip_views(reader)
    _skip_rates(reader)
    return Layer("con", settings, values)


def _fc(reader: Reader) -> Layer:
    settings = reader.settings("outputs", "inputs")
    values = reader.tensor()
    _skip_views(reader)
    settings |= reader.settings("mode")
    _skip_rates(reader)
    return Layer("fc", settings, values)


def _affine(reader: Reader) -> Layer:
    values = reader.tensor()
    _skip_views(reader)
    return Layer("affine", reader.settings("mode"), values)


def _skip_views(reader: Reader) -> None:
    """The shapes of the two parts of the parameters, weights and biases."""
    for _ in range(2):
        if (version := reader.integer()) != 1:
            raise InputError(f"a shape before byte {reader.at} is of version {version}, expected 1")
        reader.shape()


def _skip_rates(reader: Reader) -> None:
    """Learning rates and decay of weights and biases."""
    for _ in range(4):
        reader.real()


KINDS: dict[str, Callable[[Reader], Layer]] = {
    "con_4": _con,
    "affine_": _affine,
    "relu_": lambda _: Layer("relu"),
    "add_prev_": lambda _: Layer("add_prev"),
    "max_pool_2": lambda reader: Layer("max_pool", reader.settings(*WINDOW)),
    "avg_pool_2": lambda reader: Layer("avg_pool", reader.settings(*WINDOW)),
    "fc_2": _fc,
}


def read_dlib_network(path: Path) -> DlibNetwork:
    """Read a network with a metric loss, as ``dlib_face_recognition_resnet_model_v1.dat`` has it.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    with naming_file(path):
        check_file(path, MOST_BYTES)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"it cannot be read: {error.strerror}") from error
        return parse(content)


def parse(content: bytes) -> DlibNetwork:
    """What a file's content says; see `read_dlib_network`."""
    reader = Reader(content)
    if reader.integer() != 1 or reader.text() != LOSS:
        raise InputError(f"it does not begin with dlib's {LOSS}: this is no network of dlib for recognition")
    reader.real(), reader.real()  # margin and threshold
    while (version := reader.integer()) != INPUT_VERSION:
        if version not in VERSIONS:
            raise InputError(f"a layer is of version {version}, expected one of {VERSIONS}")
    if (name := reader.text()) != INPUT:
        raise InputError(f"its input is {name!r}, expected {INPUT}")
    means = reader.real(), reader.real(), reader.real()
    height, width = reader.integer(), reader.integer()
    if height != width or not 1 <= width <= 1000:
        raise InputError(f"its pictures have {width} x {height} pixels, expected a square")
    layers: list[Layer] = []
    while reader.at < len(content):
        layers.append(_read_layer(reader, first=not layers))
    return DlibNetwork(means, width, layers)


def _read_layer(reader: Reader, first: bool) -> Layer:
    name = reader.text()
    if name not in KINDS:
        raise InputError(f"it has a layer {name!r}, expected one of {', '.join(KINDS)}")
    layer = KINDS[name](reader)
    for _ in range(3):
        reader.skip_flag()
    for _ in range(3):
        reader.tensor()  # gradients and outputs
    if first:
        reader.integer()  # how many samples one picture becomes
    return layer
