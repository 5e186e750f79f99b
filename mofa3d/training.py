"""Training: one step, the loop around it, and its checkpoints."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from mofa3d.color_fit import ColorFit
from mofa3d.data.augment import encoder_input
from mofa3d.decoder import Decoder
from mofa3d.encoder_file import SUFFIX, read_encoder
from mofa3d.encoders import Encoder
from mofa3d.factored_linear import FactoredLinear
from mofa3d.instruction_sets import bfloat16_or_float32
from mofa3d.numeric_options import MOST, check_ranges
from mofa3d.objective import Batch, LossWeights, evaluate_batch
from mofa3d.optimizers import Adadelta
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode
from mofa3d.vertex_loss import FusedLoss

INSTEAD = "give the folder of a training run, its checkpoint.pt, or an encoder's .safetensors file"


@runtime_checkable
class Schedule(Protocol):
    """When a training ends, logs and saves; see `TrainingConfig` for what the values mean."""

    iterations: int
    minutes: float
    decay: bool
    log_every: int
    checkpoint_every: int


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; the defaults are the paper's (Sec. 6).

    Attributes:
        iterations: number of steps.
        minutes: end the training after this time, whichever comes first; 0 means no limit.
        batch_size: photographs per step.
        optimizer: the paper's AdaDelta, or Adam.
        learning_rate: of everything but t_z.
        depth_learning_rate: of the row that predicts t_z.
        decay: let the rates fall along a half cosine to a twentieth over the training (with a short warm-up).
        freeze_geometry: steps at the start in which only reflectance and light move.
        bfloat16: let the encoder's layers but the last compute in it, unless a CPU does not multiply it; its weights
            and their steps stay float32.
        log_every, checkpoint_every: steps.
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
    log_every: int = 10
    checkpoint_every: int = 500
    loss: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.batch_size < 1:
            raise ValueError(
                f"iterations and batch_size must be at least 1, got {self.iterations} and {self.batch_size}"
            )
        check_ranges(
            self,
            minutes=(0, MOST),
            learning_rate=(0, 1000),
            depth_learning_rate=(0, 1000),
            freeze_geometry=(0, MOST),
            log_every=(1, MOST),
            checkpoint_every=(1, MOST),
        )


def make_optimizer(encoder: Encoder, config: TrainingConfig) -> torch.optim.Optimizer:
    groups = encoder.parameter_groups(config.learning_rate, config.depth_learning_rate)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, fused=True)
    optimizer = Adadelta(groups)
    for layer in encoder.modules():
        if isinstance(layer, FactoredLinear) and layer.weight.device.type == "cpu":
            optimizer.step_in_backward(layer.weight)
    return optimizer


def without_geometry(code: SemanticCode) -> SemanticCode:
    """The same reflectance and light on the average face in its place."""
    still = {name: torch.zeros_like(getattr(code, name)) for name in ("shape", "expression", "rotation", "translation")}
    return code.replace(**still)


def rate_factor(progress: float, warm_up: float = 0.02, floor: float = 0.05) -> float:
    """Learning-rate factor at a progress in 0 to 1: linear warm-up, then half a cosine down to `floor`."""
    if progress < warm_up:
        return max(progress / warm_up, 0.05)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warm_up) / (1 - warm_up))))


class DivergenceError(RuntimeError):
    """The loss became NaN or infinite; the last good checkpoint is on disk."""


@dataclass
class Progress:
    """Where a training stands; saved with every checkpoint."""

    iteration: int = 0
    seconds: float = 0.0

    def describe(self, batch_size: int) -> str:
        """For reports."""
        return f"{self.iteration} iterations of {batch_size} in {self.seconds / 60:.1f} min"

    def fraction(self, config: Schedule) -> float:
        by_time = self.seconds / (60 * config.minutes) if config.minutes else 0.0
        return max(self.iteration / config.iterations, by_time)


@dataclass(frozen=True)
class Step:
    """What one batch came to.

    Attributes:
        terms: unweighted losses, for the log.
        total: their weighted sum, which is lowered.
        watch: gives the errors that are logged beside them; called only when a line is written.
    """

    terms: dict[str, Tensor]
    total: Tensor
    watch: Callable[[], dict[str, Tensor]] = dict


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
) -> Progress:
    """Train the encoder until `config` says enough.

    Args:
        encoder, decode, render: the autoencoder.
        batches: called with the iteration to start from, gives an endless stream of batches on the encoder's device.
        config: how to train.
        out: folder for ``checkpoint.pt``, ``metrics.jsonl`` and TensorBoard's files.
        description: stored in the checkpoint, so that the encoder can be built again (see `mofa3d.checkpoints`).
        resume: go on from the checkpoint in `out`.
        fused: see `mofa3d.objective.evaluate_batch`; its numbers must be those of `decode` and `render`.

    Warns:
        SlowerPathWarning: bfloat16 on a processor that does not multiply it; float32 is used.

    Raises:
        DivergenceError: a loss that is not finite; the last good checkpoint stays.
        ValueError: nothing to resume from, or a training of another encoder, face model or optimiser.
    """

    half = bfloat16_or_float32(config.bfloat16, encoder.scales.device.type)
    fit_colors = ColorFit(decode) if config.loss.fitted_photometric else None

    def step(batch: Batch, iteration: int) -> Step:
        with torch.autocast(batch["image"].device.type, torch.bfloat16, enabled=half):
            vector = encoder(encoder_input(batch))
        code = SemanticCode.from_vector(vector, decode.model.sizes)
        weights = config.loss
        if iteration < config.freeze_geometry:
            code = without_geometry(code)
            weights = replace(weights, fitted_photometric=0.0)  # which moves geometry only
        terms, watch = evaluate_batch(code, batch, weights, decode, render, fused, fit_colors)
        total = sum(getattr(weights, name) * term.mean() for name, term in terms.items())
        return Step(terms, total, watch)

    return optimize(encoder, make_optimizer(encoder, config), step, batches, config, out, description, resume)


def optimize(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: Callable[[Batch, int], Step],
    batches: Callable[[int], Iterator[Batch]],
    config: Schedule,
    out: Path,
    description: dict,
    resume: bool = False,
) -> Progress:
    """The loop of every training: step after step until `config` says enough, with log and checkpoints.

    Args:
        network, optimizer: what is trained, and how it moves.
        step: the losses of one batch, given the iteration.
        batches, config, out, description, resume: see `train`.

    Raises:
        DivergenceError, ValueError: see `train`.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    progress = Progress()
    if resume:
        progress = restore(out / "checkpoint.pt", network, optimizer, description)
        _forget_after(progress.iteration, out / "metrics.jsonl")
    network.train()
    stream = batches(progress.iteration)
    # TensorBoard and the bar only repeat what metrics.jsonl keeps.
    with (
        SummaryWriter(out, purge_step=progress.iteration if resume else None) as board,
        open(out / "metrics.jsonl", "a") as log,
        _bar(config, progress) as bar,
    ):
        started = time.monotonic() - progress.seconds
        while progress.fraction(config) < 1:
            if config.decay:
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * rate_factor(progress.fraction(config))
            found = step(next(stream), progress.iteration)
            if not torch.isfinite(found.total):
                values = {name: float(term.detach().mean()) for name, term in found.terms.items()}
                raise DivergenceError(
                    f"the loss is not finite at iteration {progress.iteration} ({values}); the last good checkpoint, "
                    f"if any, is {out / 'checkpoint.pt'}. Lower the learning rate and --resume"
                )
            optimizer.zero_grad(set_to_none=True)
            found.total.backward()
            optimizer.step()
            progress.iteration += 1
            progress.seconds = time.monotonic() - started
            bar.update(min(progress.seconds, bar.total) - bar.n if config.minutes else 1)
            if progress.iteration % config.log_every == 0:
                record(progress, {**found.terms, **found.watch(), "loss": found.total[None]}, board, log, bar)
            if progress.iteration % config.checkpoint_every == 0:
                save_checkpoint(out / "checkpoint.pt", network, optimizer, progress, description)
    save_checkpoint(out / "checkpoint.pt", network, optimizer, progress, description)
    return progress


def _bar(config: Schedule, progress: Progress) -> tqdm:
    """A progress bar of seconds if the training is limited in time, else of iterations."""
    if config.minutes:
        total, form = 60 * config.minutes, "{l_bar}{bar}| {n:.0f}/{total:.0f} s{postfix}"
        initial = min(progress.seconds, total)  # tqdm takes no start beyond the end
        return tqdm(total=total, initial=initial, bar_format=form, dynamic_ncols=True, mininterval=1)
    return tqdm(total=config.iterations, initial=progress.iteration, unit="it", dynamic_ncols=True, mininterval=1)


def record(progress: Progress, values: dict[str, Tensor], board: SummaryWriter, log, bar: tqdm) -> None:
    """Write one line of ``metrics.jsonl``, and the same to TensorBoard and the progress bar; NaN is left out."""
    means = {name: float(value.detach().nanmean()) for name, value in values.items()}
    means = {name: value for name, value in means.items() if math.isfinite(value)}
    log.write(json.dumps({"iteration": progress.iteration, "seconds": round(progress.seconds, 2), **means}) + "\n")
    log.flush()
    for name, value in means.items():
        board.add_scalar(name, value, progress.iteration)
    shown = {"photo": "photometric_error", "px": "landmark_error", "area": "area_ratio"}
    errors = {label: f"{means[name]:.3f}" for label, name in shown.items() if name in means}
    bar.set_postfix({"it": progress.iteration, **errors}, refresh=False)


def _forget_after(iteration: int, log: Path) -> None:
    """Drop the lines of ``metrics.jsonl`` that a resumed training will write again."""
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
    # A line that was being written when the training died has no end.
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["iteration"] <= iteration]
    log.write_text("".join(kept), encoding="utf-8")


def save_checkpoint(
    path: Path, encoder: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, description: dict
) -> None:
    """Write a checkpoint atomically: a crash leaves the previous one whole.

    Raises:
        DivergenceError: a weight is not finite; the previous checkpoint stays.
    """
    broken = [name for name, value in encoder.named_parameters() if not torch.isfinite(value).all()]
    if broken:
        raise DivergenceError(
            f"{broken[0]} is not finite after iteration {progress.iteration}; the last good checkpoint, if any, is "
            f"{path}. Lower the learning rate and --resume"
        )
    content = {
        "encoder": encoder.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
        "description": description,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save(content, temporary)
    os.replace(temporary, path)


def restore(path: Path, encoder: nn.Module, optimizer: torch.optim.Optimizer, description: dict) -> Progress:
    """Load encoder, optimiser and progress from a checkpoint of the same training.

    Raises:
        ValueError: the checkpoint is of another encoder, face model or optimiser.
    """
    content = read_checkpoint(path)
    remedy = "resume with the settings it was trained with, or choose another --out"
    before = content["description"]
    for name, value in description.items():
        if before.get(name) != value:
            raise ValueError(f"{path} was trained with {name} {before.get(name)!r}, not {value!r}; {remedy}")
    options = [group.keys() for group in content["optimizer"]["param_groups"]]
    if options != [group.keys() for group in optimizer.state_dict()["param_groups"]]:
        raise ValueError(f"{path} was trained with another optimiser than {type(optimizer).__name__}; {remedy}")
    load_weights(encoder, content, path)
    optimizer.load_state_dict(content["optimizer"])
    return Progress(**content["progress"])


def load_weights(encoder: nn.Module, content: dict, path: Path) -> None:
    """Fill an encoder from what `read_checkpoint` gave.

    Raises:
        ValueError: the weights are not those of the encoder that the checkpoint describes.
    """
    try:
        encoder.load_state_dict(content["encoder"])
    except RuntimeError:
        raise ValueError(f"the weights in {path} do not fit its own description; the file is damaged") from None


def read_checkpoint(path: Path) -> dict:
    """Read a checkpoint, or a file of `mofa3d.encoder_file`, without executing anything in it.

    Raises:
        ValueError: it is missing, damaged, or no checkpoint of this project.
    """
    if not path.is_file():
        raise ValueError(f"there is no checkpoint at {path}; {INSTEAD}")
    if path.suffix == SUFFIX:
        return read_encoder(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch's own words are many lines, and advise to execute what is in the file
        raise ValueError(f"{path} is not a readable checkpoint; {INSTEAD}") from error
    if not isinstance(content, dict) or not {"encoder", "description", "progress"} <= content.keys():
        raise ValueError(f"{path} is not a checkpoint of mofa3d; {INSTEAD}")
    return content
