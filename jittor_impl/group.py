"""Processes that train one model together: Jittor's MPI, on GPUs its NCCL.

Gradients are averaged by Jittor's own mpi_all_reduce, in buckets, in the same order on all ranks, after the backward
pass: Jittor has no way to begin before. Twin of torch_impl/group.py. neutral/ranks.py has what is the same in both.
"""

from __future__ import annotations

import ctypes
import pickle
from collections.abc import Callable

import numpy as np

from jittor_impl import ops
from jittor_impl.outcome import Outcome
from jittor_impl.runtime import jt
from jittor_impl.training import mean_gradient
from neutral.errors import InputError
from neutral.ranks import NO_MPI, Seat, check_joined

BUCKET = 25  # MiB of gradients in an all-reduce, as PyTorch's DistributedDataParallel
CHUNK = 2**30  # bytes that MPI moves at once


class Group:
    """The ranks as one of them sees them; one process alone is a group, too. Every method is called by all of them."""

    def __init__(self, seat: Seat | None = None, device: str = "cpu"):
        """Joins the others that the launcher started, as Jittor did when it was imported."""
        self.rank, self.size = (seat.rank, seat.size) if seat else (0, 1)
        if self.size > 1:
            if jt.mpi is None:
                raise InputError(f"Jittor came without MPI: {NO_MPI}")
            check_joined("jittor", seat, jt.rank, jt.world_size)
            if device == "cuda" and jt.compile_extern.nccl_ops is None:
                raise InputError("--device cuda with several ranks: Jittor came without NCCL")

    def leave(self) -> None:
        """Waits for the others; call it once, at the end."""
        if self.size > 1:
            jt.sync_all(True)
            jt.mpi.mpi_barrier()
            ctypes.CDLL(None).MPI_Finalize()  # Jittor would at an exit that is never waited for

    def watch(self, model, trained: dict) -> None:
        """The model whose gradients are averaged from now on, and its trained parameters by name."""
        self.trained = trained
        self.buckets = in_buckets(trained)

    def forward(self, work: Callable[[], Outcome], due: bool) -> Outcome:
        """What work() gives; `due`: `gradients` of it will be asked for."""
        return work()

    def gradients(self, total, pending: list[dict]) -> dict:
        """By name, the mean over the ranks, and over these and `pending`, the gradients of earlier batches."""
        found = dict(zip(self.trained, ops.grad(total, list(self.trained.values()))))
        found = mean_gradients([*pending, found])
        if self.size == 1:
            return found
        ops.finish(list(found.values()))
        means = {}
        for names in self.buckets:
            means |= self.reduced({name: found[name] for name in names})
        return {name: means[name] for name in found}

    def reduced(self, gradients: dict) -> dict:
        """The mean over the ranks of one bucket, which goes as one array."""
        with ops.no_grad():
            flat = jt.concat([x.reshape(-1) for x in gradients.values()], 0)
            mean, begin, found = flat.mpi_all_reduce("mean"), 0, {}
            ops.finish([mean])  # ranks must not reduce in different orders
            for name, x in gradients.items():
                end = begin + x.numel()
                found[name] = mean[begin:end].reshape(x.shape)
                begin = end
            ops.finish(list(found.values()))
        return found

    def receive(self, tensors: list) -> None:
        """They become what rank 0 has."""
        if self.size > 1:
            for tensor in tensors:
                values = ops.to_numpy(tensor)
                broadcast(values.reshape(-1).view(np.uint8), 0)
                ops.load_array(tensor, values, "")

    def mean(self, values: list[float]) -> list[float]:
        """Of numbers, over the ranks, in float64."""
        if self.size == 1:
            return values
        with jt.flag_scope(auto_convert_64_to_32=0):
            numbers = jt.array(np.array(values, dtype=np.float64)).mpi_all_reduce("add")
            return (numbers.numpy() / self.size).tolist()

    def gather(self, value) -> list:
        """Every rank's value, on rank 0; [] elsewhere."""
        if self.size == 1:
            return [value]
        found = [self.passed(value, rank) for rank in range(self.size)]
        return found if self.rank == 0 else []

    def tell(self, value):
        """Rank 0's value, everywhere."""
        return value if self.size == 1 else self.passed(value, 0)

    def passed(self, value, root: int):
        """The value of rank `root`, everywhere."""
        content = np.frombuffer(pickle.dumps(value), dtype=np.uint8).copy()
        length = np.array([content.size], dtype=np.int64)
        broadcast(length.view(np.uint8), root)
        if self.rank != root:
            content = np.empty(length[0], dtype=np.uint8)
        broadcast(content, root)
        return value if self.rank == root else pickle.loads(content.tobytes())


def broadcast(content: np.ndarray, root: int) -> None:
    """Bytes [N], in place."""
    for begin in range(0, content.size, CHUNK):
        jt.mpi.broadcast(content[begin : begin + CHUNK], root)


def in_buckets(tensors: dict) -> list[list[str]]:
    """Their names, those that the backward pass reaches last at the end, up to BUCKET together."""
    buckets, size = [], 0
    for name in reversed(list(tensors)):
        bytes_of = tensors[name].numel() * int(str(tensors[name].dtype)[-2:]) // 8
        if not buckets or size + bytes_of > BUCKET * 2**20:
            buckets.append([])
            size = 0
        buckets[-1].append(name)
        size += bytes_of
    return buckets


def mean_gradients(several: list[dict]) -> dict:
    """By name, of several batches."""
    return {name: mean_gradient([found[name] for found in several]) for name in several[0]}
