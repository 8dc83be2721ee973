"""Processes that train one model together: torch.distributed, gloo on CPUs, NCCL on GPUs.

Gradients are averaged by DistributedDataParallel's reducer, in buckets, while the backward pass goes on. Twin of
jittor_impl/group.py. neutral/ranks.py has what is the same in both.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from neutral.errors import Ended, InputError
from neutral.launchers import LOST
from neutral.processes import endable
from neutral.ranks import Seat, check_joined
from torch_impl import ops
from torch_impl.outcome import Outcome
from torch_impl.runtime import torch
from torch_impl.training import mean_gradient

BUCKET = 25  # MiB of gradients in an all-reduce, DistributedDataParallel's own
JOINING = timedelta(minutes=10)  # until all have started
PATIENCE = timedelta(hours=2)  # rank 0 evaluates while the others wait


class Whole(torch.nn.Module):
    """The model with what is done with it, as DistributedDataParallel wants it: the total loss is its output."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model
        self.outcome: Outcome | None = None

    def forward(self, work: Callable[[], Outcome]):
        self.outcome = work()
        return self.outcome.total


class Group:
    """The ranks as one of them sees them; one process alone is a group, too. Every method is called by all of them."""

    def __init__(self, seat: Seat | None = None, device: str = "cpu"):
        """Joins the others that the launcher started."""
        self.rank, self.size = (seat.rank, seat.size) if seat else (0, 1)
        self.whole = None
        if self.size > 1:
            if device == "cuda":
                if seat.local >= torch.cuda.device_count():
                    raise InputError(
                        f"--device cuda: {seat.local_size} ranks on this machine, "
                        f"{torch.cuda.device_count()} GPUs"
                    )
                torch.cuda.set_device(seat.local)
            if not dist.is_initialized():
                join(seat, "nccl" if device == "cuda" else "gloo")
            check_joined("torch", seat, dist.get_rank(), dist.get_world_size())

    def leave(self) -> None:
        """Waits for the others; call it once, at the end."""
        if self.size > 1:
            with lost_told(self):
                dist.barrier()
            dist.destroy_process_group()

    def watch(self, model, trained: dict) -> None:
        """The model whose gradients are averaged from now on, and its trained parameters by name."""
        self.trained = trained
        if self.size > 1:
            self.whole = torch.nn.parallel.DistributedDataParallel(
                Whole(model),
                bucket_cap_mb=BUCKET,
                find_unused_parameters=True,  # a batch need not use all
            )

    def forward(self, work: Callable[[], Outcome], due: bool) -> Outcome:
        """What work() gives; `due`: `gradients` of it will be asked for."""
        if self.whole is None or not due:
            return work()
        with lost_told(self):
            self.total = self.whole(work)
        return self.whole.module.outcome

    def gradients(self, total, pending: list[dict]) -> dict:
        """By name, the mean over the ranks, and over these and `pending`, the gradients of earlier batches."""
        if self.whole is None:
            found = dict(zip(self.trained, ops.grad(total, list(self.trained.values()))))
            return mean_gradients([*pending, found])
        for name, parameter in self.trained.items():
            earlier = [g[name] for g in pending if g[name] is not None]
            parameter.grad = sum(earlier[1:], earlier[0]) if earlier else None
        with lost_told(self):
            self.total.backward()
        found = {name: parameter.grad for name, parameter in self.trained.items()}
        for parameter in self.trained.values():
            parameter.grad = None
        count = len(pending) + 1
        return {k: g if g is None or count == 1 else g / count for k, g in found.items()}

    def receive(self, tensors: list) -> None:
        """They become what rank 0 has."""
        if self.size > 1:
            with lost_told(self), ops.no_grad():
                for tensor in tensors:
                    dist.broadcast(tensor.detach(), 0)

    def mean(self, values: list[float]) -> list[float]:
        """Of numbers, over the ranks, in float64."""
        if self.size == 1:
            return values
        numbers = torch.tensor(values, dtype=torch.float64)
        with lost_told(self):
            dist.all_reduce(numbers)
        return (numbers / self.size).tolist()

    def gather(self, value) -> list:
        """Every rank's value, on rank 0; [] elsewhere."""
        if self.size == 1:
            return [value]
        found = [None] * self.size if self.rank == 0 else None
        with lost_told(self):
            dist.gather_object(value, found)
        return found or []

    def tell(self, value):
        """Rank 0's value, everywhere."""
        if self.size == 1:
            return value
        found = [value]
        with lost_told(self):
            dist.broadcast_object_list(found)
        return found[0]


def mean_gradients(several: list[dict]) -> dict:
    """By name, of several batches."""
    return {name: mean_gradient([found[name] for found in several]) for name in several[0]}


def join(seat: Seat, kind: str) -> None:
    """Waits until all ranks are there; InputError when they do not come, or cannot be found."""
    try:
        with endable():
            store, rank, size = next(rendezvous("env://", timeout=JOINING))
            dist.init_process_group(kind, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:  # of torch.distributed's, all are RuntimeErrors
        where = ", ".join(f"{n}={os.environ.get(n, '')}" for n in ("MASTER_ADDR", "MASTER_PORT"))
        raise InputError(
            f"rank {seat.rank} of {seat.size} has not found the others by {where} ({first_line(error)}); torchrun sets "
            "these: start all ranks with it, or unset RANK and WORLD_SIZE where they are left from something else"
        ) from None


@contextlib.contextmanager
def lost_told(group: Group):
    """Inside, the end of another rank is one clear error."""
    try:
        yield
    except dist.DistError as error:
        raise lost(group, error) from None
    except RuntimeError as error:
        if not any(word in str(error) for word in ("gloo", "NCCL", "Connection closed", "reset")):
            raise
        raise lost(group, error) from None


def lost(group: Group, error: Exception) -> Ended:
    return Ended(
        f"error: rank {group.rank} of {group.size} {LOST}, whose end the launcher tells ({first_line(error)}); "
        "--resume goes on from the last checkpoint",
        1,
    )


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
