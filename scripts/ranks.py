"""Several processes, each with its own session and its own GPU, that share the batches of every optimiser's step.

A step takes `optimiser.accumulate` batches; process r of N does batches r, r + N, ... of them. The gradients are
averaged in the order of the batches and every process makes the same step, so a run has the same losses and weights as
with one process. Gradients go through the machine's memory, by pipes: any framework, any device, one machine.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
from multiprocessing.connection import Connection

import numpy as np

from neutral.config import Config
from neutral.data.batching import Batch
from neutral.errors import InputError
from neutral.processes import ENDINGS, die_with, how_ended
from scripts.common import open_session


def check_ranks(config: Config, count: int) -> None:
    """InputError unless the batches of a step can be shared evenly."""
    accumulate = config.optimiser.accumulate
    if count < 1 or accumulate % count:
        raise InputError(
            f"--ranks {count}: a step takes optimiser.accumulate={accumulate} batches; set it to a multiple of that"
        )


def claim(device: str, rank: int, count: int) -> None:
    """This process's share of the machine, before its framework starts: GPU number `rank`, or some of the cores."""
    if device == "cuda":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(
            ","
        )
        if len(visible) < count:
            raise InputError(f"--ranks {count}: only {len(visible)} GPUs in CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[rank]
    else:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))


def serve(
    connection: Connection, framework: str, config: Config, device: str, rank: int, count: int
) -> None:
    """A helper's life: calls of its session's methods, until the connection closes."""
    die_with(multiprocessing.parent_process().pid)
    for number in (signal.SIGINT, *ENDINGS):  # the first process decides
        signal.signal(number, signal.SIG_IGN)
    session = None
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            os._exit(0)  # Jittor's own way out takes long
        try:
            if session is None:
                claim(device, rank, count)
                session = open_session(framework, config, device)
            reply = ("ok", getattr(session, name)(*arguments))
        except Exception as error:
            reply = (type(error).__name__, f"{error}\n{traceback.format_exc()}")
        try:
            connection.send(reply)
        except OSError:  # the first process did not wait for it
            os._exit(0)


@contextlib.contextmanager
def ignored_by_children(number: int):
    """Processes that are started inside ignore this signal from their first moment."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


class Ranks:
    """A session whose training steps are shared; everything else is the first process's own session's."""

    def __init__(self, framework: str, config: Config, device: str, count: int):
        check_ranks(config, count)
        context = multiprocessing.get_context("spawn")
        self.helpers = []
        for rank in range(1, count):
            ours, theirs = context.Pipe()
            arguments = (theirs, framework, config, device, rank, count)
            process = context.Process(target=serve, args=arguments, daemon=True)
            with ignored_by_children(signal.SIGINT):
                process.start()
            theirs.close()
            self.helpers.append((ours, process))
        self.count = count
        try:
            claim(device, 0, count)
            self.session = open_session(framework, config, device)
        except BaseException:
            self.close()
            raise

    def __getattr__(self, name: str):
        return getattr(self.session, name)

    def close(self) -> None:
        """Ends the helpers; one in the middle of a step is not waited for."""
        for connection, _ in self.helpers:
            connection.close()
        for _, process in self.helpers:
            process.join(timeout=2)
            if process.is_alive():
                # Jittor takes a child that was killed for one that ran out of memory, and ends this process
                with contextlib.suppress(ValueError):  # not the main thread
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                process.kill()
                process.join()

    def describe(self) -> dict:
        return self.session.describe() | {"ranks": self.count}

    def ask(self, rank: int, name: str, *arguments) -> None:
        try:
            self.helpers[rank - 1][0].send((name, arguments))
        except OSError:
            raise self.obituary(rank) from None

    def answer(self, rank: int):
        try:
            status, value = self.helpers[rank - 1][0].recv()
        except (EOFError, OSError):
            raise self.obituary(rank) from None
        if status != "ok":
            raise InputError(f"rank {rank} of {self.count}: {status}: {value}")
        return value

    def obituary(self, rank: int) -> InputError:
        process = self.helpers[rank - 1][1]
        process.join(timeout=5)
        how = how_ended(process.exitcode) if process.exitcode is not None else "does not answer"
        return InputError(f"rank {rank} of {self.count} has died: it {how}")

    def everywhere(self, name: str, *arguments):
        """A method of every session; the first process's answer."""
        for rank in range(1, self.count):
            self.ask(rank, name, *arguments)
        try:
            return getattr(self.session, name)(*arguments)
        finally:
            for rank in range(1, self.count):
                self.answer(rank)

    def load(self, weights: dict) -> None:
        self.everywhere("load", weights)

    def load_optimiser(self, arrays: dict, steps: int) -> None:
        self.everywhere("load_optimiser", arrays, steps)

    def train_batches(self, batches: list[Batch], step: int, rates: dict[str, float]) -> list[dict]:
        """As Session.train_batches, of the batches of one step of the optimiser."""
        work = [(batch, step + k) for k, batch in enumerate(batches)]
        for rank in range(1, self.count):
            self.ask(rank, "gradients_of", work[rank :: self.count])
        results: list = [None] * len(work)
        results[:: self.count] = self.session.gradients_of(work[:: self.count])
        for rank in range(1, self.count):
            results[rank :: self.count] = self.answer(rank)
        losses = [values for values, _ in results]
        bad = [k for k, values in enumerate(losses) if not np.isfinite(values["loss"])]
        if bad:
            return losses[: bad[0] + 1]
        mean = self.session.mean_of([gradients for _, gradients in results])
        losses[-1] = losses[-1] | self.everywhere("update_from", mean, rates)
        return losses
