"""Training of MoFA's encoder: configuration, optimiser and step (Tewari et al. 2017, Sec. 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from mofa3d.camera import Camera
from mofa3d.data.batches.augment import encoder_input
from mofa3d.decoder import Decoder
from mofa3d.encoders.network import Encoder
from mofa3d.environment.processes import ALONE, Processes
from mofa3d.errors import InputError
from mofa3d.kernels.vertex_loss.base import FusedLoss, OffersFusedLoss
from mofa3d.morphable_model import MorphableModel
from mofa3d.numeric_options import MOST
from mofa3d.objective import Batch, LossWeights, evaluate_batch
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode
from mofa3d.training.loop import Step, optimize
from mofa3d.training.progress import Progress, check_schedule

if TYPE_CHECKING:
    from mofa3d.training.target_losses import TargetLosses


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; the defaults are the paper's (Sec. 6).

    Attributes:
        iterations: number of steps.
        minutes: end the training after this time, whichever comes first; 0 means no limit.
        batch_size: photographs per step, of all processes together.
        optimizer: the paper's AdaDelta, or Adam.
        learning_rate: of everything but t_z.
        depth_learning_rate: learning rate of the row that predicts t_z.
        decay: let the rates fall along a half cosine to a twentieth over the training (with a short warm-up).
        freeze_geometry: steps at the start in which only reflectance and light move.
        bfloat16: let the encoder's layers but the last compute in bfloat16: faster on processors that multiply it
            (AVX-512 BF16, AMX), with two or three digits; others go on in float32, and say so. Weights and their steps
            stay float32.
        step_in_backward: on the CPU, let AlexNet's and VGG's large weights take AdaDelta's step during the backward
            pass: the same numbers, faster; but they get no ``.grad``, so nothing can clip gradients or add up several
            passes.
        log_every: steps.
        checkpoint_every: steps that are lost at most when the process is killed: a checkpoint is begun every half as
            many; 0 means never. However a training ends, but for a crash or SIGKILL, it writes one.
        checkpoint_minutes: the same in minutes, if that comes first; 0 means never.
        keep_last: number of latest checkpoints to keep; if it is more than 1, each is also checkpoint-ITERATION.pt.
        keep_best: keep the checkpoint with the lowest mean loss of `checkpoint_every` steps as best.pt.
        loss: weights of the loss.
    """

    iterations: int = 200_000
    minutes: float = 0.0
    batch_size: int = 5
    optimizer: Literal["adadelta", "adam"] = "adadelta"
    learning_rate: float = 0.1
    depth_learning_rate: float = 0.0005
    decay: bool = False
    freeze_geometry: int = 0
    bfloat16: bool = False
    step_in_backward: bool = False
    log_every: int = 10
    checkpoint_every: int = 500
    checkpoint_minutes: float = 5.0
    keep_last: int = 1
    keep_best: bool = False
    loss: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.step_in_backward and self.optimizer != "adadelta":
            raise InputError(
                f"step_in_backward works with the optimizer adadelta, got {self.optimizer}; leave it out, or "
                "choose adadelta"
            )
        check_schedule(self, depth_learning_rate=(0, 1000), freeze_geometry=(0, MOST))


def make_optimizer(encoder: Encoder, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam or AdaDelta on an encoder's weights, with a learning rate of its own for t_z."""
    groups = encoder.parameter_groups(config.learning_rate, config.depth_learning_rate)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, fused=True)
    from mofa3d.encoders.factored_linear import FactoredLinear
    from mofa3d.training.adadelta import Adadelta

    optimizer = Adadelta(groups)
    for layer in encoder.modules() if config.step_in_backward else ():
        if isinstance(layer, FactoredLinear) and layer.weight.device.type == "cpu":
            optimizer.step_in_backward(layer.weight)
    return optimizer


class Formation(NamedTuple):
    """How a training forms images of codes, and compares them.

    Attributes:
        decode, render: codes to scenes to renderings.
        fused: does the work of both and of the photometric loss, or ``None``.
    """

    decode: Decoder
    render: Renderer
    fused: FusedLoss | None


def make_formation(
    render: Renderer, model: MorphableModel, camera: Camera, device: torch.device | str, background_cost: float = 0.0
) -> Formation:
    """The fastest way to train with a renderer; the numbers are those of `Decoder` and that renderer.

    A renderer that offers a fused loss (`OffersFusedLoss`) looks at frontal vertices only: just these, and what their
    normals need, are decoded for it. With a background cost it weighs vertices by their area.

    Warns:
        SlowerPathWarning: a GPU without a compiler for its fused loss.
    """
    if not isinstance(render, OffersFusedLoss):
        return Formation(Decoder(model, camera).to(device), render, None)
    if background_cost:
        render = render.with_area_weights()
    decode = Decoder(model.restrict(model.frontal), camera).to(device)
    return Formation(decode, render, render.fused_loss(model, camera, device))


def without_geometry(code: SemanticCode) -> SemanticCode:
    """The same reflectance and light on the average face in its place."""
    still = {name: torch.zeros_like(getattr(code, name)) for name in ("shape", "expression", "rotation", "translation")}
    return code.replace(**still)


def train(
    encoder: Encoder,
    decode: Decoder,
    render: Renderer,
    batches: Callable[[int], Iterator[Batch]],
    config: TrainingConfig,
    out: Path,
    description: dict,
    resume: bool = False,
    fused: FusedLoss | None = None,
    targets: TargetLosses | None = None,
    data: Mapping[str, str] | None = None,
    processes: Processes = ALONE,
) -> Progress:
    """Train the encoder until a limit of `config` is reached.

    Args:
        encoder, decode, render: MoFA.
        batches: called with the iteration to start from, gives an endless stream of batches on the encoder's device.
        config: how to train.
        out: folder for ``checkpoint.pt``, ``metrics.jsonl`` and TensorBoard's files.
        description: stored in the checkpoint, so that the encoder can be built again (see
            `mofa3d.encoders.checkpoint`).
        resume: go on from the checkpoint in `out`.
        fused: see `mofa3d.objective.evaluate_batch`; its numbers must be those of `decode` and `render`.
        targets: computes the losses that need them.
        data: names and fingerprints of what is learned from, which must be the same when the training is resumed.
        processes: that train together, see `mofa3d.training.loop.optimize`; the first one writes.

    Warns:
        SlowerPathWarning: bfloat16 on a processor that does not multiply it; float32 is used.

    Raises:
        DivergenceError: a loss that is not finite; the last good checkpoint stays.
        Interruption: a signal asked to end (main thread only); the checkpoint has every step.
        InputError: nothing to resume from, or a training of another encoder, face model or optimiser, or with other
            data.
        LostProcessError: another process has failed or was killed.
        OSError: a file cannot be written, with its name; the last checkpoint stays.
    """
    if config.loss.by_targets and targets is None:
        raise InputError("a loss by targets is on, but nothing computes it: give targets=TargetLosses(...)")
    if config.loss.identity and encoder.recognizer is None:
        raise InputError("the identity loss is on, but nothing tells who is shown: call encoder.add_recognizer first")
    half = config.bfloat16
    if half:
        from mofa3d.environment.instruction_sets import bfloat16_or_float32

        half = bfloat16_or_float32(half, encoder.scales.device.type)
    fit_colors = None
    if config.loss.fitted_photometric:
        from mofa3d.fitting.color_fit import ColorFit

        fit_colors = ColorFit(decode, keep_tone=False)

    def step(batch: Batch, iteration: int) -> Step:
        with torch.autocast(batch["image"].device.type, torch.bfloat16, enabled=half):
            if config.loss.identity:
                features = encoder.features(encoder_input(batch))
                vector = encoder.code(features)
            else:
                vector = encoder(encoder_input(batch))
        code = SemanticCode.from_vector(vector, decode.model.sizes)
        weights = config.loss
        if iteration < config.freeze_geometry:
            code = without_geometry(code)
            weights = replace(weights, fitted_photometric=0.0)  # which moves geometry only
        terms, watch = evaluate_batch(code, batch, weights, decode, render, fused, fit_colors)
        if targets is not None:
            terms |= targets(code, batch, weights)
        if weights.identity:
            from mofa3d.training.identity_loss import identity_loss

            told = encoder.recognize(features)
            terms["identity"] = identity_loss(told, batch["embedding"], batch["embedding_known"])
        total = sum(getattr(weights, name) * term.mean() for name, term in terms.items())
        return Step(terms, total, watch)

    optimizer = make_optimizer(encoder, config)
    return optimize(encoder, optimizer, step, batches, config, out, description, resume, data, processes)
