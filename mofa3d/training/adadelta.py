"""The optimisers of all trainings: PyTorch's, with a faster AdaDelta on the CPU.

AdaDelta on AlexNet's 60 million parameters moves 1.7 GB through memory if everything is read and written once. PyTorch
has no such version of it and takes a pass for each operation, several times as long. For Adam it has one, which is as
fast as a kernel of ours would be. Weights of `mofa3d.encoders.factored_linear` can be moved in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.adadelta import adadelta

from mofa3d.encoders.factored_linear import keep_rounded, leave_step_to, rounded_copy
from mofa3d.kernels import parallel

Moving = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # value, gradient, means of squares and of changes, step

PARTS = 8  # of a weight that steps in the backward pass
RUN = 1 << 20  # elements per call of the kernel: enough for the call not to count, few enough to share out evenly


class Adadelta(torch.optim.Adadelta):
    """`torch.optim.Adadelta` with its options, numbers and state dict; parameters on the CPU in one pass over memory.

    Parameters that are not float32 on the CPU go PyTorch's way, as do all with `maximize`, `differentiable` or
    `capturable`.
    """

    def __init__(self, params: Iterable, lr: float = 1.0, **options) -> None:
        super().__init__(params, lr, **options)
        self._ahead: set[int] = set()  # weights that have taken their step already

    def __setstate__(self, state: dict) -> None:
        """For copies, whose weights have taken no step."""
        super().__setstate__(state)
        self._ahead = set()

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step with the gradients as they are, or as `closure` makes them; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._ahead.clear()
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

    def step_in_backward(self, weight: Tensor) -> None:
        """Take the steps of a `FactoredLinear`'s weight in the backward pass, which is then one pass for each `step`.

        The step is what it would be afterwards. What must keep a step from being taken, as a loss that is not finite,
        has to be looked at before the backward pass.
        """
        leave_step_to(weight, self._step_ahead)

    @torch.no_grad()
    def _step_ahead(
        self, weight: Tensor, left: Float[Tensor, "B O"], right: Float[Tensor, "B I"]
    ) -> Float[Tensor, "B I"]:
        [group] = (group for group in self.param_groups if any(weight is other for other in group["params"]))
        if _is_unusual(group) or not _is_in_lanes(weight):
            back, gradient = left @ weight, left.T @ right
            weight.grad = gradient if weight.grad is None else weight.grad + gradient
            return back
        if id(weight) in self._ahead:
            raise RuntimeError(
                "a second backward pass before the optimiser's step, but a weight has taken its step in the first; "
                "make one pass for each step, or do not use step_in_backward"
            )
        self._ahead.add(id(weight))
        state = self.state[weight]
        if not state:  # as PyTorch begins it
            state.update(step=torch.zeros((), dtype=torch.float32))
            state.update(square_avg=torch.zeros_like(weight), acc_delta=torch.zeros_like(weight))
        state["step"] += 1
        return _step_product(weight, left, right, (state["square_avg"], state["acc_delta"]), group)


def _is_unusual(group: dict) -> bool:
    return any(group[name] for name in ("maximize", "differentiable", "capturable"))


def _is_in_lanes(value: Tensor) -> bool:
    """Whether the kernel of products may take a matrix: it needs rows of whole `LANES`."""
    from mofa3d.kernels.simd import LANES

    return value.dtype == torch.float32 and value.is_contiguous() and value.shape[1] % LANES == 0


def _is_fusible(row: Moving) -> bool:
    """Whether the kernel may take value, gradient and state for flat arrays in the same order."""
    value, *others, _ = row
    orders = (torch.contiguous_format, torch.channels_last) if value.ndim == 4 else (torch.contiguous_format,)
    return (
        all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in (value, *others))
        and any(value.is_contiguous(memory_format=order) for order in orders)
        and all(tensor.stride() == value.stride() for tensor in others)
    )


def _step_product(
    value: Tensor,
    left: Float[Tensor, "B O"],
    right: Float[Tensor, "B I"],
    means: tuple[Tensor, Tensor],
    group: dict,
) -> Float[Tensor, "B I"]:
    """Take a weight's step for the gradient leftᵀ · right; gives left · value, of the value as it was."""
    from mofa3d.training import adadelta_numba

    copy = rounded_copy(value)
    rounded = torch.empty(0, value.shape[1], dtype=torch.bfloat16) if copy is None else copy
    square_means, change_means = map(_in_lanes, means)
    factor = left.T.contiguous().numpy()
    given = (_in_lanes(value), factor, _in_lanes(right.contiguous()), square_means, change_means)
    given += (_in_lanes(rounded.view(torch.uint16)),)
    # Outputs that no image of the batch has used, a quarter of AlexNet's with dropout, have no gradient.
    moves = factor.any(axis=1) | bool(group["weight_decay"])
    # A fixed number of parts, so that sums do not depend on the number of threads.
    moving, resting = (np.array_split(np.flatnonzero(rows), PARTS) for rows in (moves, ~moves))
    back, numbers = right.new_zeros(PARTS, *right.shape), _numbers(group)
    width, rho = len(given[0]) // len(value), numbers[1]
    parallel.run_in_turn(
        (
            adadelta_numba.adadelta_of_product,
            [(*given, _in_lanes(into), rows, *numbers) for into, rows in zip(back, moving, strict=True)],
        ),
        (adadelta_numba.adadelta_at_rest, [(square_means, change_means, rows, width, rho) for rows in resting]),
    )
    torch.autograd.graph.increment_version([value])
    if copy is not None:
        keep_rounded(value, copy)
    return back.sum(0)


def _in_lanes(matrix: Tensor) -> np.ndarray:
    """A matrix as it lies in memory, in rows of `LANES` numbers."""
    from mofa3d.kernels.simd import LANES

    return matrix.detach().numpy().reshape(-1, LANES)


def _numbers(group: dict) -> list[np.float32]:
    """Options in the order in which the kernels take them."""
    rho = group["rho"]
    return [np.float32(x) for x in (group["lr"], rho, 1 - rho, group["eps"], group["weight_decay"])]


def _step_fused(rows: list[Moving], group: dict) -> None:
    from mofa3d.kernels.simd import LANES
    from mofa3d.training import adadelta_numba

    numbers, calls, rests, run = _numbers(group), [], [], RUN // LANES
    for *tensors, step in rows:
        step += 1
        arrays = [_flat(tensor) for tensor in tensors]
        whole = len(arrays[0]) // LANES * LANES
        lanes = [array[:whole].reshape(-1, LANES) for array in arrays]
        calls += [(*(array[i : i + run] for array in lanes), *numbers) for i in range(0, len(lanes[0]), run)]
        if whole < len(arrays[0]):
            rests.append([array[whole:] for array in arrays])
    # What fills no row of its own goes into rows together, and back.
    columns = list(zip(*rests, strict=True))
    joined = [_padded(np.concatenate(column)) for column in columns]
    if rests:
        calls.append((*joined, *numbers))
    parallel.run(adadelta_numba.adadelta, calls)
    ends = np.cumsum([len(rest[0]) for rest in rests])
    for column, moved in zip(columns, joined, strict=True):
        for array, part in zip(column, np.split(moved.ravel(), ends), strict=False):
            array[...] = part
    # What autograd has saved of the old values is no longer there: a later backward pass must fail, not lie.
    torch.autograd.graph.increment_version([row[0] for row in rows])


def _padded(numbers: np.ndarray) -> np.ndarray:
    """Numbers in rows of `LANES`, with zeros at the end."""
    from mofa3d.kernels.simd import LANES

    return np.pad(numbers, (0, -len(numbers) % LANES)).reshape(-1, LANES)


def _flat(tensor: Tensor) -> np.ndarray:
    """The elements of a tensor without gaps, in the order in which they lie in memory."""
    return tensor.detach().as_strided((tensor.numel(),), (1,)).numpy()
