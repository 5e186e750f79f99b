"""What a training on many GPUs takes, of measured costs and stated bandwidths, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass

BYTES = 4  # of a gradient's number, which stays float32


@dataclass(frozen=True)
class Costs:
    """What was measured.

    Attributes:
        step: seconds that one rank computes for a batch of its own.
        batch: photographs of that batch.
        parameters: whose gradients are averaged.
        read: seconds to take a photograph out of a shard that is in memory, on one core.
        decode: seconds to decode its crop.
        change: seconds to change it at random.
        size: bytes of a photograph in a shard, with what is said about it.
        prepare: seconds to prepare one, on one core.
    """

    step: float
    batch: int
    parameters: float
    read: float
    decode: float
    change: float
    size: float
    prepare: float


@dataclass(frozen=True)
class Cluster:
    """What was stated.

    Attributes:
        gpus_per_node: GPUs of a machine.
        cores_per_gpu: that load photographs for it.
        inside: bytes per second that a GPU sends to another one of its machine.
        between: bytes per second that a GPU sends to one of another machine.
        latency: seconds of each message.
        storage: bytes per second that a machine reads.
        overlap: share of the step during which gradients are sent while the backward pass goes on.
        gpu_price: of a GPU and its cores, per hour.
        core_price: of a core without GPU, per hour.
    """

    gpus_per_node: int
    cores_per_gpu: int
    inside: float
    between: float
    latency: float
    storage: float
    overlap: float
    gpu_price: float
    core_price: float


@dataclass(frozen=True)
class Plan:
    """What becomes of them.

    Attributes:
        photographs, gpus: that it is for.
        step: seconds of a step, whatever it waits for.
        parts: seconds that each part would need for a step by itself.
        wall: the part that it waits for.
        hours: of the training.
        price: of the training.
        efficiency: speed of a GPU against one that waits for nothing.
        prepare_hours: of all cores of the same machines.
        prepare_price: on cores without GPUs.
    """

    photographs: float
    gpus: int
    step: float
    parts: dict[str, float]
    wall: str
    hours: float
    price: float
    efficiency: float
    prepare_hours: float
    prepare_price: float


def all_reduce(size: float, gpus: int, cluster: Cluster) -> float:
    """Seconds in which a ring of GPUs adds up gradients: each sends them nearly twice.

    Args:
        size: bytes of the gradients.

    Reference:
        Patarasuk and Yuan 2009.
    """
    if gpus == 1:
        return 0.0
    slowest = cluster.inside if gpus <= cluster.gpus_per_node else cluster.between
    return 2 * (gpus - 1) / gpus * size / slowest + 2 * (gpus - 1) * cluster.latency


def plan(photographs: float, epochs: float, gpus: int, costs: Costs, cluster: Cluster) -> Plan:
    """Time and price of a training: a step takes as long as the slowest of what runs side by side."""
    sent = all_reduce(BYTES * costs.parameters, gpus, cluster)
    waiting = max(0.0, sent - cluster.overlap * costs.step)  # the rest goes along with the backward pass
    on_node = min(gpus, cluster.gpus_per_node)
    cores = cluster.cores_per_gpu
    parts = {
        "compute": costs.step,
        "all-reduce": costs.step + waiting if waiting else 0.0,
        "decoding": costs.batch * (costs.read + costs.decode + costs.change) / cores,
        "storage": costs.batch * costs.size * on_node / cluster.storage,
    }
    wall = max(parts, key=lambda part: parts[part])
    hours = photographs * epochs / (costs.batch * gpus) * parts[wall] / 3600
    core_hours = photographs * costs.prepare / 3600
    return Plan(
        photographs,
        gpus,
        parts[wall],
        parts,
        wall,
        hours,
        hours * gpus * cluster.gpu_price,
        costs.step / parts[wall],
        core_hours / (gpus * cores),
        core_hours * cluster.core_price,
    )
