"""Training: one step, the loop around it, and its checkpoints."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, TextIO

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from mofa3d.checkpoint_content import check_content, check_optimizer, load_archive
from mofa3d.color_fit import ColorFit
from mofa3d.data.augment import encoder_input
from mofa3d.decoder import Decoder
from mofa3d.encoder_file import SUFFIX, read_encoder
from mofa3d.encoders import Encoder
from mofa3d.factored_linear import FactoredLinear
from mofa3d.instruction_sets import bfloat16_or_float32
from mofa3d.interruption import Interruption, noted
from mofa3d.numeric_options import MOST, check_ranges
from mofa3d.objective import Batch, LossWeights, evaluate_batch
from mofa3d.optimizers import Adadelta
from mofa3d.random_states import random_states, set_random_states
from mofa3d.scene import Renderer
from mofa3d.schedule import Progress, Schedule, is_due, rate_factor
from mofa3d.semantic_code import SemanticCode
from mofa3d.training_log import LOG_NAME, forget_after, make_bar, record
from mofa3d.vertex_loss import FusedLoss
from mofa3d.whole_files import naming, whole_file

CHECKPOINT_NAME = "checkpoint.pt"
INSTEAD = "give the folder of a training run, its checkpoint.pt, or an encoder's .safetensors file"


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
        log_every: steps.
        checkpoint_every, checkpoint_minutes: steps and minutes after which a checkpoint is written, whichever come
            first; 0 means never. However a training ends, but for a crash or SIGKILL, it writes one.
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
    checkpoint_minutes: float = 5.0
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
            checkpoint_every=(0, MOST),
            checkpoint_minutes=(0, MOST),
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


class DivergenceError(RuntimeError):
    """The loss became NaN or infinite; the last good checkpoint is on disk."""


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
        Interruption: a signal asked to end (main thread only); the checkpoint has every step.
        ValueError: nothing to resume from, or a training of another encoder, face model or optimiser.
        OSError: a file cannot be written, with its name; the last checkpoint stays.
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
        DivergenceError, Interruption, ValueError, OSError: see `train`.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    progress, path = Progress(), out / CHECKPOINT_NAME
    if resume:
        progress = restore(path, network, optimizer, description)
        forget_after(progress.iteration, out / LOG_NAME)
    else:  # whatever stops it from now on, it can be resumed
        save_checkpoint(path, network, optimizer, progress, description)
    network.train()
    stream = batches(progress.iteration)
    # TensorBoard and the bar only repeat what metrics.jsonl keeps.
    with (
        noted("stopping after this step; another time ends at once, without saving") as wish,
        naming(out),
        SummaryWriter(out, purge_step=progress.iteration if resume else None) as board,
        open(out / LOG_NAME, "a" if resume else "w", encoding="utf-8") as log,
        make_bar(config, progress) as bar,
    ):
        keeper = _Keeper(path, network, optimizer, description, log, progress.iteration, progress.seconds)
        started = time.monotonic() - progress.seconds
        while progress.fraction(config) < 1 and not wish.number:
            factor = rate_factor(progress.fraction(config)) if config.decay else 1.0
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            with keeper.saving_after_errors(progress):
                batch = next(stream)
            found = step(batch, progress.iteration)
            if not torch.isfinite(found.total):
                values = {name: float(term.detach().mean()) for name, term in found.terms.items()}
                raise DivergenceError(
                    f"the loss is not finite at iteration {progress.iteration} ({values}); the last good checkpoint "
                    f"is {path}. Lower the learning rate and --resume"
                )
            optimizer.zero_grad(set_to_none=True)
            found.total.backward()
            optimizer.step()
            progress.iteration += 1
            progress.seconds = time.monotonic() - started
            with keeper.saving_after_errors(progress):
                bar.update(min(progress.seconds, bar.total) - bar.n if config.minutes else 1)
                if progress.iteration % config.log_every == 0:
                    record(progress, {**found.terms, **found.watch(), "loss": found.total[None]}, board, log, bar)
            if is_due(config, progress, keeper.seconds):
                keeper.save(progress)
        keeper.save(progress)
        if wish.number:
            raise Interruption(
                wish.number, f"stopped after iteration {progress.iteration}, which {path} keeps; --resume goes on"
            )
    return progress


@dataclass
class _Keeper:
    """Writes the checkpoints of one training.

    Attributes:
        path, network, optimizer, description: see `save_checkpoint`.
        log: is on the disk before the checkpoint that it belongs to.
        iteration, seconds: of the last checkpoint.
    """

    path: Path
    network: nn.Module
    optimizer: torch.optim.Optimizer
    description: dict
    log: TextIO
    iteration: int
    seconds: float

    def save(self, progress: Progress) -> None:
        """Write a checkpoint if anything was learned since the last."""
        if progress.iteration == self.iteration:
            return
        with naming(self.path.with_name(LOG_NAME)):
            self.log.flush()
            os.fsync(self.log.fileno())
        save_checkpoint(self.path, self.network, self.optimizer, progress, self.description)
        self.iteration, self.seconds = progress.iteration, progress.seconds

    @contextmanager
    def saving_after_errors(self, progress: Progress) -> Iterator[None]:
        """Between steps, where an error of the data or of the log is no reason to lose what was learned."""
        try:
            yield
        except Exception:
            with suppress(OSError, DivergenceError):  # the first error says what is to be mended
                self.save(progress)
            raise


def save_checkpoint(
    path: Path, encoder: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, description: dict
) -> None:
    """Write a checkpoint atomically: a crash leaves the previous one whole.

    Raises:
        DivergenceError: a weight is not finite; the previous checkpoint stays.
        OSError: it cannot be written, with its name; the previous checkpoint stays.
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
        "random": random_states(),
    }
    with whole_file(path) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # PyTorch hides what the system said, as that its disk is full
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def restore(path: Path, encoder: nn.Module, optimizer: torch.optim.Optimizer, description: dict) -> Progress:
    """Load encoder, optimiser, progress and random states from a checkpoint of the same training.

    One without random states, of an older version, comes with a warning.

    Raises:
        ValueError: the checkpoint is of another encoder, face model or optimiser.
    """
    content = read_checkpoint(path)
    remedy = "resume with the settings it was trained with, or choose another --out"
    before = content["description"]
    for name, value in description.items():
        if before.get(name) != value:
            raise ValueError(f"{path} was trained with {name} {before.get(name)!r}, not {value!r}; {remedy}")
    try:
        check_optimizer(content.get("optimizer"), optimizer)
    except ValueError as error:
        raise ValueError(f"{path} does not go on with {type(optimizer).__name__}: {error}; {remedy}") from None
    load_weights(encoder, content, path)
    optimizer.load_state_dict(content["optimizer"])
    if "random" in content:
        try:
            set_random_states(content["random"])
        except ValueError as error:
            raise ValueError(f"{path}: {error}; {remedy}") from None
    else:
        warnings.warn(
            f"{path} is of an older version and keeps no random states: dropout goes on with other numbers than if the "
            "training had not been stopped",
            stacklevel=2,
        )
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
        content = load_archive(path)
    except ValueError as error:
        raise ValueError(f"{path} is not a readable checkpoint ({error}); {INSTEAD}") from error
    except Exception as error:  # PyTorch's own words are many lines, and advise to execute what is in the file
        raise ValueError(f"{path} is not a readable checkpoint; {INSTEAD}") from error
    try:
        check_content(content)
    except ValueError as error:
        raise ValueError(f"{path} is not a checkpoint of mofa3d ({error}); {INSTEAD}") from None
    return content
