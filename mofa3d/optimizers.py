"""The optimisers of all trainings: PyTorch's, with a faster AdaDelta on the CPU.

AdaDelta on AlexNet's 60 million parameters moves 1.7 GB through memory if everything is read and written once. PyTorch
has no such version of it and takes a pass for each operation, several times as long. For Adam it has one, which is as
fast as a kernel of ours would be. Gradients that layers leave as factors (`mofa3d.factored_linear`) are multiplied
while they are used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.optim.adadelta import adadelta

from mofa3d import parallel
from mofa3d.factored_linear import Factors, keep_rounded, rounded_copy, take_factors

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
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._use_factors(group)
        if any(map(_is_unusual, self.param_groups)):
            super().step()
            return loss
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

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, also those that layers keep as factors."""
        for group in self.param_groups:
            for value in group["params"]:
                take_factors(value)
        super().zero_grad(set_to_none)

    def _use_factors(self, group: dict) -> None:
        """Take the steps of parameters whose gradient is kept as factors; multiply those that no kernel takes."""
        for value in group["params"]:
            factors = take_factors(value)
            if factors is None:
                continue
            if value.grad is None and _is_in_lanes(value) and not _is_unusual(group):
                state = self.state[value]
                if not state:  # as PyTorch begins it
                    state.update(step=torch.zeros(()))
                    state.update(square_avg=torch.zeros_like(value), acc_delta=torch.zeros_like(value))
                state["step"] += 1
                _step_product(value, factors, (state["square_avg"], state["acc_delta"]), group)
            else:
                product = factors[0].T @ factors[1]
                value.grad = product if value.grad is None else value.grad + product


def _is_unusual(group: dict) -> bool:
    return any(group[name] for name in ("maximize", "differentiable", "capturable"))


def _is_in_lanes(value: Tensor) -> bool:
    """Whether the kernel of products may take a matrix: it needs rows of whole `LANES`."""
    from mofa3d.simd import LANES

    return value.dtype == torch.float32 and value.is_contiguous() and value.shape[1] % LANES == 0


def _is_fusible(row: Row) -> bool:
    """Whether the kernel may take value, gradient and state for flat arrays in the same order."""
    value, *others, _ = row
    orders = (torch.contiguous_format, torch.channels_last) if value.ndim == 4 else (torch.contiguous_format,)
    return (
        all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in (value, *others))
        and any(value.is_contiguous(memory_format=order) for order in orders)
        and all(tensor.stride() == value.stride() for tensor in others)
    )


def _step_product(value: Tensor, factors: Factors, means: tuple[Tensor, Tensor], group: dict) -> None:
    from mofa3d import optimizer_kernels

    left, right = factors
    copy = rounded_copy(value)
    rounded = torch.empty(0, value.shape[1], dtype=torch.bfloat16) if copy is None else copy
    square_means, change_means = map(_in_lanes, means)
    arrays = (
        _in_lanes(value), left.T.contiguous().numpy(), _in_lanes(right.contiguous()), square_means, change_means,
        _in_lanes(rounded.view(torch.uint16)),
    )  # fmt: skip
    rows = max(1, RUN // value.shape[1])
    runs = [(start, min(start + rows, len(value))) for start in range(0, len(value), rows)]
    parallel.run(optimizer_kernels.adadelta_of_product, [(*arrays, *edges, *_numbers(group)) for edges in runs])
    torch.autograd.graph.increment_version([value])
    if copy is not None:
        keep_rounded(value, copy)


def _in_lanes(matrix: Tensor) -> np.ndarray:
    """A matrix as it lies in memory, in rows of `LANES` numbers."""
    from mofa3d.simd import LANES

    return matrix.detach().numpy().reshape(-1, LANES)


def _numbers(group: dict) -> list[np.float32]:
    """Options in the order in which the kernels take them."""
    rho = group["rho"]
    return [np.float32(x) for x in (group["lr"], rho, 1 - rho, group["eps"], group["weight_decay"])]


def _step_fused(rows: list[Row], group: dict) -> None:
    from mofa3d import optimizer_kernels

    numbers, calls = _numbers(group), []
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
