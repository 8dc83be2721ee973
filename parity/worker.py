"""The process in which one framework lives: `python -m parity.worker FRAMEWORK FD PROGRESS_FILE`.

Serves requests that arrive on a connection (see workers.py) until it closes. Every module that a
trace enters is written to the progress file, so that whoever finds this process dead knows where
it was.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from multiprocessing.connection import Connection

import numpy as np

from neutral import config as configuration
from neutral.errors import InputError


class Server:
    def __init__(self, framework: str, progress: str):
        self.implementation = f"{framework}_impl"
        self.progress = os.open(progress, os.O_WRONLY | os.O_CREAT)
        self.session = None
        self.built = None

    def entered(self, node: str) -> None:
        os.pwrite(self.progress, node.encode().ljust(200), 0)

    def build(self, config: dict, device: str, dtype: str) -> None:
        """Makes the session for this configuration, unless it is the one there is."""
        wanted = (repr(config), device, dtype)
        if self.built != wanted:
            self.session = self.built = None  # frees the memory of the one before
            module = importlib.import_module(f"{self.implementation}.session")
            self.session = module.Session(configuration.from_dict(config), device, dtype)
            self.built = wanted

    def describe(self, device: str) -> dict:
        runtime = importlib.import_module(f"{self.implementation}.runtime")
        runtime.configure(device, "float32")
        self.built = None
        return runtime.describe()

    def trace(self, batch, **options) -> dict:
        return self.session.trace(batch, entered=self.entered, **options)

    def train_steps(self, batches, rates_per_step) -> tuple[list[dict], dict[str, np.ndarray]]:
        """Losses of every step, and the state after the last."""
        losses = [
            self.session.train_step(b, i, r)
            for i, (b, r) in enumerate(zip(batches, rates_per_step, strict=True))
        ]
        return losses, self.session.state()

    def fit(self, batch, steps: int, rates: dict[str, float]) -> dict[str, np.ndarray]:
        """Trains on one batch, over and over: the state afterwards."""
        for step in range(steps):
            self.session.train_step(batch, step, rates)
        return self.session.state()

    def run_op(self, name: str, arguments: tuple, device: str, dtype: str):
        """Calls ops.NAME(*arguments): (outputs, gradients of a fixed weighting of the first output).

        Float arrays become tensors of `dtype` and get a gradient, unless wrapped in `Constant`; what is wrapped
        in `Plain` is passed as is.
        """
        runtime = importlib.import_module(f"{self.implementation}.runtime")
        ops = importlib.import_module(f"{self.implementation}.ops")
        runtime.configure(device, dtype)
        self.built = None
        sources = {}

        def convert(value):
            if isinstance(value, list):
                return [convert(v) for v in value]
            if isinstance(value, Plain):
                return value.array
            if isinstance(value, Constant):
                return ops.frozen(ops.array(value.array.astype(dtype)))
            if not isinstance(value, np.ndarray):
                return value
            if value.dtype.kind != "f":
                return ops.array(value)
            tensor = ops.array(value.astype(dtype))
            sources[f"input{len(sources)}"] = tensor
            ops.set_trainable({"input": tensor}, {"input"})
            return tensor

        result = getattr(ops, name)(*map(convert, arguments))
        outputs = list(result) if isinstance(result, (tuple, list)) else [result]
        gradients = None
        if sources and ops.is_differentiable(outputs[0]):
            weights = np.cos(np.arange(np.prod(outputs[0].shape), dtype=np.float64)).reshape(
                tuple(outputs[0].shape)
            )
            loss = (outputs[0] * ops.array(weights, like=outputs[0])).sum()
            gradients = [
                None if g is None else ops.to_numpy(g)
                for g in ops.grad(loss, list(sources.values()))
            ]
        return [
            ops.to_numpy(o) if hasattr(o, "shape") else np.asarray(o) for o in outputs
        ], gradients

    def handle(self, method: str, args: tuple, options: dict):
        own = getattr(self, method, None)
        if own is not None and method not in ("handle", "entered"):
            return own(*args, **options)
        return getattr(self.session, method)(*args, **options)


class Constant:
    """A float array argument to which no gradient flows (boxes)."""

    def __init__(self, array: np.ndarray):
        self.array = array


class Plain:
    """An array argument that an op takes as NumPy (an index, a shape)."""

    def __init__(self, array: np.ndarray):
        self.array = array


def main() -> None:
    framework, descriptor, progress = sys.argv[1:]
    connection = Connection(int(descriptor))
    server = Server(framework, progress)
    while True:
        try:
            method, args, options = connection.recv()
        except EOFError:
            return
        try:
            reply = ("ok", server.handle(method, args, options))
        except InputError as error:
            reply = ("input", str(error))
        except Exception as error:
            reply = ("error", f"{type(error).__name__}: {error}", traceback.format_exc())
        connection.send(reply)


if __name__ == "__main__":
    # pickled arguments name parity.worker.Plain: make this module that module, not a second copy of it
    sys.modules["parity.worker"] = sys.modules["__main__"]
    main()
