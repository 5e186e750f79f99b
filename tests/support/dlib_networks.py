"""Files as dlib writes its networks, and small networks for them."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np


def integer(value: int) -> bytes:
    size = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def real(value: float) -> bytes:
    mantissa, exponent = math.frexp(value)
    return integer(int(mantissa * 2**53)) + integer(exponent - 53)


def text(value: str) -> bytes:
    return integer(len(value)) + value.encode()


def tensor(values: np.ndarray, shape: Sequence[int]) -> bytes:
    return integer(2) + b"".join(map(integer, shape)) + struct.pack(f"<{values.size}f", *values.ravel())


EMPTY = tensor(np.zeros(0), (0, 0, 0, 0))
VIEW = integer(1) + b"".join(map(integer, (1, 1, 1, 1)))
RATES = b"".join(map(real, (1.0, 1.0, 1.0, 0.0)))


def layer(name: str, details: bytes = b"", first: bool = False) -> bytes:
    """A layer with the flags and empty buffers that follow each."""
    return text(name) + details + b"110" + 3 * EMPTY + (integer(1) if first else b"")


def window(kernel: int, stride: int, padding: int) -> bytes:
    return b"".join(map(integer, (kernel, kernel, stride, stride, padding, padding)))


def convolution(weights: np.ndarray, bias: np.ndarray, stride: int = 1, padding: int = 0, first: bool = False) -> bytes:
    values = np.concatenate([weights.ravel(), bias])
    details = tensor(values, (len(values), 1, 1, 1)) + integer(len(weights))
    return layer("con_4", details + window(weights.shape[-1], stride, padding) + 2 * VIEW + RATES, first)


def affine(factor: np.ndarray, shift: np.ndarray) -> bytes:
    values = np.concatenate([factor, shift])
    return layer("affine_", tensor(values, (len(values), 1, 1, 1)) + 2 * VIEW + integer(0))


def pool(kind: str, kernel: int, stride: int) -> bytes:
    return layer(f"{kind}_pool_2", window(kernel, stride, 0))


def average_of_everything() -> bytes:
    return layer("avg_pool_2", window(0, 1, 0))


def linear(weights: np.ndarray) -> bytes:
    inputs, outputs = weights.shape
    details = integer(outputs) + integer(inputs) + tensor(weights, (inputs, outputs, 1, 1)) + 2 * VIEW + integer(1)
    return layer("fc_2", details + RATES)


def network_file(size: int, means: Sequence[float], layers: Sequence[bytes]) -> bytes:
    """A network with dlib's metric loss; layers from the input to the output."""
    versions = integer(2) * (len(layers) - 1) + integer(1) + integer(3)  # a tag has 1, the input's layer 3
    source = text("input_rgb_image_sized") + b"".join(map(real, means)) + 2 * integer(size)
    return integer(1) + text("loss_metric_2") + real(0.04) + real(0.6) + versions + source + b"".join(layers)


SIZE, MEANS = 11, (120.0, 110.0, 100.0)


class Tiny:
    """A network of a stem, a block, a block that halves, and a last layer, with random numbers."""

    def __init__(self) -> None:
        random = np.random.default_rng(3)
        shapes = [(2, 3, 3, 3), (2, 2, 3, 3), (2, 2, 3, 3), (3, 2, 3, 3), (3, 3, 3, 3)]
        self.weights = [random.normal(0, 0.4, shape).astype(np.float32) for shape in shapes]
        self.biases = [random.normal(0, 0.2, shape[0]).astype(np.float32) for shape in shapes]
        self.factors = [random.uniform(0.5, 1.5, shape[0]).astype(np.float32) for shape in shapes]
        self.shifts = [random.normal(0, 0.2, shape[0]).astype(np.float32) for shape in shapes]
        self.last = random.normal(0, 1, (3, 4)).astype(np.float32)

    def layers(self) -> list[bytes]:
        def both(number: int, stride: int = 1, padding: int = 0) -> list[bytes]:
            con = convolution(self.weights[number], self.biases[number], stride, padding, first=number == 0)
            return [con, affine(self.factors[number], self.shifts[number])]

        relu, add = layer("relu_"), layer("add_prev_")
        stem = [*both(0), relu, pool("max", 3, 2)]
        block = [*both(1, padding=1), relu, *both(2, padding=1), add, relu]
        halved = [*both(3, stride=2), relu, *both(4, padding=1), pool("avg", 2, 2), add, relu]
        return [*stem, *block, *halved, average_of_everything(), linear(self.last)]

    def file(self) -> bytes:
        return network_file(SIZE, MEANS, self.layers())

    def by_hand(self, picture: np.ndarray) -> np.ndarray:
        """What it says of a picture (3, S, S) in 0 to 1, in float64 and without PyTorch."""

        def both(values: np.ndarray, number: int, stride: int = 1, padding: int = 0) -> np.ndarray:
            values = np.pad(values, ((0, 0), (padding, padding), (padding, padding)))
            sides = [(side - 3) // stride + 1 for side in values.shape[1:]]
            made = np.zeros((len(self.weights[number]), *sides))
            for row in range(sides[0]):
                for column in range(sides[1]):
                    top, left = row * stride, column * stride
                    seen = values[:, top : top + 3, left : left + 3]
                    made[:, row, column] = (self.weights[number] * seen).sum(axis=(1, 2, 3)) + self.biases[number]
            return made * self.factors[number][:, None, None] + self.shifts[number][:, None, None]

        values = (255 * picture.astype(np.float64) - np.array(MEANS)[:, None, None]) / 256
        values = both(values, 0).clip(0)
        values = np.array(
            [[[c[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max() for j in range(4)] for i in range(4)] for c in values]
        )
        values = (both(both(values, 1, padding=1).clip(0), 2, padding=1) + values).clip(0)
        inner = both(both(values, 3, stride=2).clip(0), 4, padding=1)
        past = values.reshape(2, 2, 2, 2, 2).mean(axis=(2, 4))
        total = np.zeros((3, 2, 2))
        total[:, :1, :1] += inner  # 1 x 1, as the other is 2 x 2 with a channel less
        total[:2] += past
        return total.clip(0).mean(axis=(1, 2)) @ self.last
