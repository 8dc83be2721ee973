"""Processes that train together, each with its own share of the images: rank 0, 1, ... of a group.

Here is what does not depend on a framework: who a process is, which share is whose, and how ranks agree. A group is
{torch,jittor}_impl.group.Group: torch.distributed under torchrun, MPI under mpirun.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from door.threads import threads
from neutral.errors import InputError

T = TypeVar("T")
LAUNCHERS = {"torch": "torchrun", "jittor": "mpirun"}
# the variables by which each launcher tells a process its number, how many there are, and both on its machine
VARIABLES = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    "mpirun": tuple(
        f"OMPI_COMM_WORLD_{name}" for name in ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")
    ),
}
NUMBER = re.compile("[0-9]{1,7}")
NO_MPI = "apt-get install -y openmpi-bin libopenmpi-dev"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Seat:
    """Which of `size` processes this is; `local` of `local_size` on its machine."""

    rank: int = 0
    size: int = 1
    local: int = 0
    local_size: int = 1


def seat_of(framework: str) -> Seat:
    """What the framework's launcher says, whatever else has started that; one process alone without it. InputError
    under the other's launcher, and where something else has set such variables, or some of them."""
    for launcher in sorted(VARIABLES, key=LAUNCHERS[framework].__ne__):  # its own first
        names = VARIABLES[launcher]
        told = {name: os.environ.get(name, "") for name in names}
        if told[names[1]] in ("", "1"):
            continue
        if launcher != LAUNCHERS[framework]:
            raise InputError(
                f"--framework {framework} under {launcher}: its processes are started by "
                f"{LAUNCHERS[framework]}; --ranks N starts the right one. Its variables are set; {left_over(launcher)}"
            )
        numbers = [int(text) if NUMBER.fullmatch(text) else -1 for text in told.values()]
        rank, size, local, local_size = numbers
        if not (0 <= rank < size and 0 <= local < local_size <= size):
            shown = ", ".join(
                f"{name}={text}" if text else f"no {name}" for name, text in told.items()
            )
            raise InputError(
                f"{shown}: no rank that {launcher} started. Start with {launcher}; {left_over(launcher)}"
            )
        return Seat(*numbers)
    return Seat()


def check_alone(command: str) -> None:
    """InputError where a launcher has started several of what works in one process."""
    for launcher, (_, size, *_) in VARIABLES.items():
        if os.environ.get(size, "") not in ("", "1"):
            raise InputError(
                f"{command} is one process, and {size}={os.environ[size]} is of several that {launcher} starts: "
                f"call it without; {left_over(launcher)}"
            )


def check_joined(framework: str, seat: Seat, rank: int, size: int) -> None:
    """InputError unless the framework itself found the seat that the variables say."""
    if (rank, size) != (seat.rank, seat.size):
        launcher = LAUNCHERS[framework]
        raise InputError(
            f"the variables of {launcher} say rank {seat.rank} of {seat.size}, {framework} finds rank {rank} of "
            f"{size}: start with {launcher}; {left_over(launcher)}"
        )


def left_over(launcher: str) -> str:
    return f"where they are left from something else: unset {' '.join(VARIABLES[launcher])}"


def share_cores(seat: Seat) -> None:
    """This process's threads, before its framework starts: its part of the machine's cores, unless that is settled."""
    if seat.size > 1 and not threads():
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // seat.local_size))


class Elsewhere(InputError):
    """Another rank failed, and tells why; `kind` is its error's class."""

    kind = ""


def anyone(group, text: str) -> dict[int, str]:
    """The texts that are not empty, by rank; every rank gets all."""
    if not group.mean([float(bool(text))])[0]:
        return {}
    return group.tell({rank: told for rank, told in enumerate(group.gather(text)) if told})


def together(group, work: Callable[[], T]) -> T:
    """work() on every rank. When it raises InputError on any, all raise: the first such rank its own, the others
    Elsewhere. An error that is raised so is known to all ranks: `agreed` of it is True."""
    if group.size == 1:
        return work()
    result, error = None, None
    try:
        result = work()
    except InputError as found:
        error = found
    failed = anyone(group, f"{type(error).__name__} {error.exit_code} {error}" if error else "")
    if not failed:
        return result
    first = min(failed)
    if first != group.rank:
        kind, code, text = failed[first].split(" ", 2)
        error = Elsewhere(f"rank {first}: {text}")
        error.kind, error.exit_code = kind, int(code)
    error.agreed = True
    raise error


def on_first(group, work: Callable[[], T]) -> T:
    """What work() gives on rank 0, which alone does it, everywhere; an InputError of it, too."""
    return group.tell(together(group, work if group.rank == 0 else lambda: None))


def share(length: int, rank: int, size: int) -> np.ndarray:
    """Which places of an order of that length are whose, int64 [ceil(length / size)].

    As torch.utils.data.DistributedSampler: every `size`-th, begun anew at the front where the order does not suffice,
    so that all have as many.
    """
    return np.arange(rank, -(-length // size) * size, size) % length


def check_shares(images: int, batch_size: int, accumulate: int, size: int) -> None:
    """InputError unless every rank has images enough for a step."""
    if size > images:
        raise InputError(f"{size} ranks share {images} training images: some would have none")
    each = -(-images // size)
    if size > 1 and each < batch_size * accumulate:
        raise InputError(
            f"{size} ranks share {images} training images: {each} each, and a step takes {accumulate} x {batch_size} "
            "of every rank: lower optimiser.batch_size or accumulate, or the ranks"
        )


def check_alike(group, facts: dict[str, str]) -> None:
    """InputError that names the first fact, as a field of the configuration, in which a rank differs from rank 0."""

    def compare() -> None:
        for rank, other in enumerate(told):
            for name in dict.fromkeys([*facts, *other]):
                ours, theirs = facts.get(name), other.get(name)
                if ours != theirs:
                    raise InputError(
                        f"rank {rank} differs from rank 0 in {name}: {theirs} there, {ours} here; all ranks need the "
                        "same code, configuration and data"
                    )

    told = group.gather(facts)
    on_first(group, compare)


def check_same_tensors(group, digests: dict[str, str], when: str) -> None:
    """InputError that names the first tensor that is not the same on all ranks, by their digests."""

    def compare() -> None:
        for name, digest in digests.items():
            others = [rank for rank, found in enumerate(told) if found.get(name) != digest]
            if others:
                raise InputError(
                    f"{when}: {name} of rank {others[0]} is not what rank 0 has ({len(others)} of {group.size} ranks "
                    "differ from it): their updates were not the same, and the run is worth nothing from there on. "
                    "The last good epoch is in the checkpoint"
                )

    told = group.gather(digests)
    on_first(group, compare)


def code_digest(framework: str) -> str:
    """Of the source that a rank runs."""
    found = hashlib.sha256()
    for folder in ("neutral", f"{framework}_impl"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found.update(path.relative_to(ROOT).as_posix().encode())
            found.update(path.read_bytes())
    return found.hexdigest()[:12]


@contextlib.contextmanager
def only_on_first(group, manager: Callable):
    """manager() on rank 0, whose error every rank gets; elsewhere None."""
    with contextlib.ExitStack() as stack:
        yield together(group, lambda: stack.enter_context(manager()) if group.rank == 0 else None)
