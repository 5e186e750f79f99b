"""A whole training step, plain and as fast as can be, split into encoder, decoder with loss, and optimiser."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Setup, Timing
from benchmarks.optimizers import MOVED
from mofa3d import Camera, Decoder, SemanticCode, load_model
from mofa3d.encoders.network import Encoder, make_encoder
from mofa3d.environment.instruction_sets import multiplies_bfloat16
from mofa3d.environment.memory import keep_freed_memory
from mofa3d.kernels.vertex_loss.cpu import FusedVertexLoss
from mofa3d.objective import LossWeights, evaluate_batch
from mofa3d.renderers import make_renderer
from mofa3d.training.mofa import TrainingConfig, make_optimizer

SUBJECT = "training_step"
PARTS = ("encoder", "decoder and loss", "optimizer", "step")


@dataclass(frozen=True)
class Setting:
    """What is trained, and how."""

    encoder: str
    batch_size: int
    optimizer: str
    input_size: int | None

    def __str__(self) -> str:
        return f"{self.encoder}, {self.input_size or 240} px, batch {self.batch_size}, {self.optimizer}"


PAPER = Setting("alexnet", 5, "adadelta", None)
QUICK = Setting("mobilenet_v2", 24, "adam", 112)


@dataclass(frozen=True)
class TimedStep:
    """One way to do a training step."""

    encoder: Encoder
    optimizer: torch.optim.Optimizer
    losses: Callable[[Tensor], dict[str, Tensor]]
    bfloat16: bool

    def __call__(self, image: Tensor) -> list[float]:
        """Milliseconds of `PARTS`."""
        self.optimizer.zero_grad(set_to_none=True)
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            vector = self.encoder(image)
        encoded = time.perf_counter()
        leaf = vector.detach().requires_grad_()
        terms = self.losses(leaf)
        sum(getattr(LossWeights(), name) * term.mean() for name, term in terms.items()).backward()
        decoded = time.perf_counter()
        vector.backward(leaf.grad)
        returned = time.perf_counter()
        self.optimizer.step()
        end = time.perf_counter()
        return [
            1e3 * seconds
            for seconds in (encoded - start + returned - decoded, decoded - encoded, end - returned, end - start)
        ]


def rows(setup: Setup) -> Iterator[Timing]:
    keep_freed_memory()
    for setting in [Setting("mobilenet_v2", 2, "adam", 32)] if setup.quick else [PAPER, QUICK]:
        setup.begin()
        torch.manual_seed(0)
        image = torch.rand(setting.batch_size, 3, 240, 240)
        steps = make_steps(setting, {"image": image})
        floors = _floors(setup, setting, image)
        times: dict[str, list[list[float]]] = {name: [] for name in steps}
        end = time.monotonic() + setup.seconds
        for turn in range(max(setup.repeats // 2, 2) + 1):
            if turn > 1 and time.monotonic() > end:
                break
            for name, step in steps.items():
                times[name].append(step(image))
        for part, floor in zip(PARTS, floors, strict=True):
            # The first step allocates and compiles.
            column = {name: [step[PARTS.index(part)] for step in found[1:]] for name, found in times.items()}
            plain = statistics.median(column["plain"])
            for name, values in column.items():
                median = statistics.median(values)
                # Work moves from one part to another: only a whole step can be too slow.
                judged = part == "step" and name == "fast"
                least, most, speed = min(values), max(values), plain / median
                yield Timing(SUBJECT, f"{setting}: {part}", name, median, least, most, floor, speed, by_default=judged)


def make_steps(setting: Setting, batch: dict[str, Tensor]) -> dict[str, TimedStep]:
    """Plain PyTorch, the fastest way, and that with the encoder in bfloat16 where the processor multiplies it.

    The fastest way with AdaDelta has `step_in_backward`.
    """
    model, camera = load_model("makehuman"), Camera(240)
    plain = Decoder(model.restrict(model.frontal), camera, fused=False)
    fused, render = FusedVertexLoss(model, camera), make_renderer("vertex")
    training = TrainingConfig(optimizer=setting.optimizer, step_in_backward=setting.optimizer == "adadelta")

    def losses(fused: FusedVertexLoss | None) -> Callable[[Tensor], dict[str, Tensor]]:
        def evaluate(vector: Tensor) -> dict[str, Tensor]:
            code = SemanticCode.from_vector(vector, model.sizes)
            return evaluate_batch(code, batch, LossWeights(), plain, render, fused)[0]

        return evaluate

    def encoder() -> Encoder:
        torch.manual_seed(0)
        return make_encoder(setting.encoder, sizes=model.sizes, weights=None, input_size=setting.input_size).train()

    def fast(bfloat16: bool) -> TimedStep:
        trained = encoder()
        return TimedStep(trained, make_optimizer(trained, training), losses(fused), bfloat16)

    first = encoder()
    kinds = {"adadelta": torch.optim.Adadelta, "adam": torch.optim.Adam}
    groups = first.parameter_groups(training.learning_rate, training.depth_learning_rate)
    steps = {"plain": TimedStep(first, kinds[setting.optimizer](groups), losses(None), False), "fast": fast(False)}
    return steps | {"fast, bfloat16": fast(True)} if multiplies_bfloat16() else steps


def _floors(setup: Setup, setting: Setting, image: Tensor) -> list[float]:
    """Of `PARTS`; the encoder's is that of bfloat16 if there is any; backward takes twice the operations of forward."""
    model = load_model("makehuman")
    encoder = make_encoder(setting.encoder, sizes=model.sizes, weights=None, input_size=setting.input_size).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(image)
    parameters = sum(value.numel() for value in encoder.parameters())
    numbers = 3 * int(model.frontal.sum()) * (model.sizes.shape + model.sizes.expression + model.sizes.reflectance)
    ceilings = setup.ceilings
    floors = [
        1e3 * max(3 * counter.get_total_flops() / ceilings.products, 3 * 4 * parameters / ceilings.bandwidth),
        ceilings.floor(4 * setting.batch_size * numbers, 8 * numbers),
        ceilings.floor(0, MOVED * parameters),
    ]
    return [*floors, sum(floors)]
