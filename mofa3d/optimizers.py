"""The optimisers of all trainings: PyTorch's, with a faster AdaDelta on the CPU.

AdaDelta on AlexNet's 60 million parameters moves 1.7 GB through memory if everything is read and written once. PyTorch
has no such version of it and takes a pass for each operation, several times as long. For Adam it has one, which is as
fast as a kernel of ours would be.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.optim.adadelta import adadelta

from mofa3d import parallel

Row = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # value, gradient, means of squares and of changes, step

RUN = 1 << 20  # elements per call of the kernel: enough for the call not to count, few enough to share out evenly


class Adadelta(torch.optim.Adadelta):
    """`torch.optim.Adadelta` with its options, numbers and state dict; parameters on the CPU in one pass over memory.

    Parameters that are not float32 on the CPU go PyTorch's way, as do all with `maximize`, `differentiable` or
    `capturable`.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step with the gradients as they are, or as `closure` makes them; returns the closure's loss."""
        if any(group[name] for group in self.param_groups for name in ("maximize", "differentiable", "capturable")):
            return super().step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            columns: tuple[list[Tensor], ...] = ([], [], [], [], [])
            has_complex = self._init_group(group, *columns)
            rows = list(zip(*columns, strict=True))
            fused = [row for row in rows if _is_fusible(row)]
            rest = [row for row in rows if not _is_fusible(row)]
            _step_fused(fused, group)
            if rest:
                options = {name: group[name] for name in ("lr", "rho", "eps", "weight_decay", "maximize", "foreach")}
                adadelta(*map(list, zip(*rest, strict=True)), has_complex=has_complex, **options)
        return loss


def _is_fusible(row: Row) -> bool:
    """Whether the kernel may take value, gradient and state for flat arrays in the same order."""
    value, *others, _ = row
    orders = (torch.contiguous_format, torch.channels_last) if value.ndim == 4 else (torch.contiguous_format,)
    return (
        all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in (value, *others))
        and any(value.is_contiguous(memory_format=order) for order in orders)
        and all(tensor.stride() == value.stride() for tensor in others)
    )


def _step_fused(rows: list[Row], group: dict) -> None:
    from mofa3d import optimizer_kernels

    rho = group["rho"]
    numbers = [np.float32(x) for x in (group["lr"], rho, 1 - rho, group["eps"], group["weight_decay"])]
    calls = []
    for *tensors, step in rows:
        step += 1
        arrays = [_flat(tensor) for tensor in tensors]
        calls += [(*(array[i : i + RUN] for array in arrays), *numbers) for i in range(0, len(arrays[0]), RUN)]
    parallel.run(optimizer_kernels.adadelta, calls)
    # What autograd has saved of the old values is no longer there: a later backward pass must fail, not lie.
    torch.autograd.graph.increment_version([row[0] for row in rows])


def _flat(tensor: Tensor) -> np.ndarray:
    """The elements of a tensor without gaps, in the order in which they lie in memory."""
    return tensor.detach().as_strided((tensor.numel(),), (1,)).numpy()
