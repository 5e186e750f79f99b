"""How long whole training steps take on a device, as trainings take them."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch

from benchmarks.training_step import Setting
from mofa3d import Camera, SemanticCode, load_model
from mofa3d.encoders.network import make_encoder
from mofa3d.objective import LossWeights, evaluate_batch
from mofa3d.renderers import make_renderer
from mofa3d.training.mofa import TrainingConfig, make_formation, make_optimizer

LANDMARKS = {"landmarks": (68, 2), "confidence": (68,)}


@dataclass(frozen=True)
class Steps:
    """What steps took.

    Attributes:
        seconds: of one, the median.
        batch: photographs of one.
        parameters: of the encoder.
        memory: bytes of the GPU at most; 0 on a CPU.
    """

    seconds: float
    batch: int
    parameters: int
    memory: int

    @property
    def per_second(self) -> float:
        """Steps."""
        return 1 / self.seconds


def time_steps(setting: Setting, device: str, count: int = 20, warm_up: int = 5) -> Steps:
    """Train on random photographs that are in memory already, without a log.

    Args:
        setting: what is trained.
        device: on which.
        count: steps that are timed.
        warm_up: steps before these, which compile and allocate.
    """
    torch.manual_seed(0)
    model, camera = load_model("makehuman"), Camera(240)
    decode, render, fused = make_formation(make_renderer("vertex"), model, camera, device)
    encoder = make_encoder(setting.encoder, sizes=model.sizes, weights=None, input_size=setting.input_size)
    encoder = encoder.to(device).train()
    optimizer = make_optimizer(encoder, TrainingConfig(optimizer=setting.optimizer))
    weights, image = LossWeights(), torch.rand(setting.batch_size, 3, 240, 240, device=device)
    batch = {"image": image}
    batch |= {name: torch.zeros(setting.batch_size, *shape, device=device) for name, shape in LANDMARKS.items()}
    on_gpu, times = torch.device(device).type == "cuda", []
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(warm_up + count):
        begun = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        code = SemanticCode.from_vector(encoder(image), model.sizes)
        terms = evaluate_batch(code, batch, weights, decode, render, fused)[0]
        sum(getattr(weights, name) * term.mean() for name, term in terms.items()).backward()
        optimizer.step()
        if on_gpu:
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begun)
    return Steps(
        statistics.median(times[warm_up:]),
        setting.batch_size,
        sum(value.numel() for value in encoder.parameters()),
        torch.cuda.max_memory_allocated(device) if on_gpu else 0,
    )
