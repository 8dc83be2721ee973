"""The process in which one framework lives: `python -m parity.worker FRAMEWORK FD PROGRESS_FILE`.

Serves requests that arrive on a connection (see workers.py) until it closes. Every module that a
trace enters is written to the progress file, so that whoever finds this process dead knows where
it was.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from neutral import config as configuration
from neutral.errors import InputError
from parity import mutants
from parity.record import Record, write_in_two, write_record
from parity.transport import receive, send
from parity.workers import REPLY, REQUEST


class Server:
    def __init__(self, framework: str, progress: str):
        self.implementation = f"{framework}_impl"
        self.progress = os.open(progress, os.O_WRONLY | os.O_CREAT)
        self.session = None
        self.built = None
        self.environment: dict | None = None  # what the session's records say of it
        self.planted: list = []

    def entered(self, node: str) -> None:
        os.pwrite(self.progress, node.encode().ljust(200), 0)

    def build(self, config: dict, device: str, dtype: str) -> None:
        """Makes the session for this configuration, unless it is the one there is."""
        wanted = (repr(config), device, dtype)
        if self.built != wanted:
            # the memory of the one before is freed
            self.session = self.built = self.environment = None
            self.session = self.module("session").Session(
                configuration.from_dict(config), device, dtype
            )
            self.built = wanted

    def build_pair(self, path: Path, device: str, dtype: str) -> None:
        """Makes the session for this side of a pair of modules (neutral/pairs.py), anew every time."""
        self.session = self.built = self.environment = None
        self.session = self.module("modules").ModuleSession(path, device, dtype)

    def module(self, name: str):
        """A module of the implementation. The framework it brings is for good: garbage collections, which would take
        as long as a small model's run, need not go through it again."""
        first = f"{self.implementation}.runtime" not in sys.modules
        module = importlib.import_module(f"{self.implementation}.{name}")
        if first:
            gc.freeze()
        return module

    def pair_inputs(self, path: Path) -> tuple[np.ndarray, ...] | dict[str, np.ndarray]:
        return importlib.import_module("neutral.pairs").load_pair(path).inputs()

    def pair_weights(self, path: Path, shapes: dict) -> dict[str, np.ndarray]:
        """The pair's own, or golden ones."""
        make = importlib.import_module("neutral.pairs").load_pair(path).make_weights
        return (make or importlib.import_module("parity.golden").golden_weights)(shapes)

    def describe(self, device: str, dtype: str = "float32") -> dict:
        runtime = importlib.import_module(f"{self.implementation}.runtime")
        runtime.configure(device, dtype)
        self.built = None
        return runtime.describe()

    def snippet(self, given: str, code: str, device: str) -> dict:
        """What a piece of code of the semantics atlas gives; see parity/semantics/snippets.py."""
        snippets = importlib.import_module("parity.semantics.snippets")
        self.built = None
        return snippets.run_snippet(self.implementation, given, code, device)

    def snippet_apart(self, given: str, code: str, device: str) -> dict:
        """`snippet` in a copy of this process, which has imported the framework and done nothing else; {"crash": its
        exit code} where the copy dies. On the CPU only: CUDA does not survive being copied."""
        importlib.import_module(f"{self.implementation}.runtime").configure(device, "float32")
        receiver, sender = os.pipe()
        child = os.fork()
        if not child:
            try:
                die_with_parent()
                os.close(receiver)
                with open(sender, "wb") as file:
                    pickle.dump(self.snippet(given, code, device), file)
            finally:
                os._exit(0)
        os.close(sender)
        with open(receiver, "rb") as file:
            answer = file.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return pickle.loads(answer) if answer else {"crash": f"exit code {code}"}

    def index(self, shape: tuple, dtype: str, items: list, value=None):
        """What an index expression gives, see parity/semantics/conformance.py."""
        conformance = importlib.import_module("parity.semantics.conformance")
        self.built = None
        return conformance.by_framework(self.implementation, shape, dtype, items, value)

    def plant(self, faults: dict[str, str]) -> None:
        """Spoils what modules of the session return, in place of what was planted before (see `spoiled`)."""
        ops = importlib.import_module(f"{self.implementation}.ops")
        for undo in self.planted:
            undo()
        modules = self.session.modules() if faults else {}
        self.planted = [
            ops.surround(modules[name], spoiled(ops, kind)) for name, kind in faults.items()
        ]

    def bare(self, batch, dropout_step: int | None = None) -> None:
        """What a trace runs, with nothing watched: forward, losses, detections, gradients of the parameters."""
        ops = importlib.import_module(f"{self.implementation}.ops")
        outcome = self.session.run(batch, dropout_step is not None, dropout_step or 0)
        self.session.detector.detections(outcome, batch)
        tensors = [self.session.tensors[name] for name in self.session.trained]
        for gradient in ops.grad(outcome.total, tensors):
            if gradient is not None:
                ops.to_numpy(gradient)

    def peak_memory(self) -> float:
        """MiB, of this process so far."""
        return importlib.import_module("neutral.files").peak_memory()

    def vary(self, variant: str) -> None:
        self.environment = None
        self.module("runtime").vary(variant)

    def trace(
        self,
        batch,
        out: Path | None = None,
        reference: Path | None = None,
        replay: Path | None = None,
        about: dict | None = None,
        in_two: bool = False,
        **options,
    ) -> dict | Path:
        """Session.trace; into the record `out` when it is given, `about` added to what it says of itself.

        `reference` and `replay` are records; `in_two`: see write_in_two.
        """
        reference, replay = (Record(p) if p is not None else None for p in (reference, replay))
        found = self.session.trace(
            batch,
            entered=self.entered,
            reference=reference,
            replay=replay["decisions"] if replay else None,
            **options,
        )
        if out is None:
            return as_arrays(found)
        self.environment = self.environment or self.session.describe()
        told = {
            "side": self.implementation.removesuffix("_impl"),
            "dtype": self.session.dtype,
            "forced": reference is not None,
            "rounded": options.get("rounded", False),
            "shapes": self.session.shapes(),
            "environment": self.environment,
        }
        write = write_in_two if in_two else write_record
        return write(out, found, told | (about or {}))

    def train_steps(self, batches, rates_per_step) -> tuple[list[dict], dict[str, np.ndarray]]:
        """Losses of every step, and the state after the last."""
        losses = [
            self.session.train_step(b, i, r)
            for i, (b, r) in enumerate(zip(batches, rates_per_step, strict=True))
        ]
        return losses, self.session.state()

    def reset(self, weights: dict) -> None:
        """These weights, and an optimiser that has made no step."""
        moments, _ = self.session.optimiser_state()
        self.session.load(weights)
        self.session.load_optimiser({k: np.zeros_like(v) for k, v in moments.items()}, 0)

    def learning_rate(self) -> float:
        return self.session.options.lr

    def optimise(self, options, values, slots, steps, gradients, rates, decays) -> tuple:
        """One float32 step of an optimiser that has made `steps`: parameters, and state arrays."""
        training, ops = self.fresh("training", "ops")
        settings = configuration.OptimiserConfig(**options)
        tensors = {name: ops.array(value) for name, value in values.items()}
        optimiser = training.OPTIMISERS[settings.kind](tensors, decays, settings)
        if slots is not None:
            optimiser.load_state(slots, steps)
        optimiser.step(as_tensors(ops, gradients), rates)
        return {name: ops.to_numpy(x) for name, x in tensors.items()}, optimiser.state()

    def clip(self, gradients: dict, max_norm: float, eps: float) -> dict:
        """Clipped gradients, and their norm before it as "norm"."""
        training, ops = self.fresh("training", "ops")
        clipped, norm = training.clip_gradients(as_tensors(ops, gradients), max_norm, eps)
        arrays = {k: None if g is None else ops.to_numpy(g) for k, g in clipped.items()}
        return arrays | {"norm": np.array([norm], dtype=np.float32)}

    def fresh(self, *names: str) -> list:
        """Modules of the implementation, set up for float32 on the CPU, apart from any session."""
        modules = [
            importlib.import_module(f"{self.implementation}.{n}") for n in ("runtime", *names)
        ]
        modules[0].configure("cpu", "float32")
        self.built = None
        return modules[1:]

    def fit(self, batch, steps: int, rates: dict[str, float]) -> dict[str, np.ndarray]:
        """Trains on one batch, over and over: the state afterwards."""
        for step in range(steps):
            self.session.train_step(batch, step, rates)
        return self.session.state()

    def initial_weights(self, config: dict) -> dict[str, np.ndarray]:
        """The values that a run of this configuration starts from."""
        self.build(config, "cpu", "float32")
        weights = importlib.import_module("neutral.weights")
        return weights.initial_weights(self.session.shapes(), configuration.from_dict(config))

    def sample_data(self, config: dict) -> dict[str, np.ndarray]:
        """Two training batches and a validation batch, as this process's pipeline makes them."""
        config, arrays = configuration.from_dict(config), {}
        data, batching = (
            importlib.import_module(f"neutral.data{part}") for part in ("", ".batching")
        )
        for name, split, make, count in (
            ("train", "train", lambda d: batching.train_batches(d, config, 0), 2),
            ("val", "val", lambda d: batching.val_batches(d, config), 1),
        ):
            batches = make(data.open_dataset(config, split))
            for i, batch in zip(range(count), batches):
                padded = batching.pad_targets(batch.targets)
                arrays[f"{name}{i}/boxes"], arrays[f"{name}{i}/labels"] = (
                    padded.boxes,
                    padded.labels,
                )
                arrays[f"{name}{i}/mask"], arrays[f"{name}{i}/images"] = batch.mask, batch.images
        return arrays

    def perfect_detections(self, config: dict) -> dict[str, np.ndarray]:
        """AP of the ground truth handed in as detections, category ids included: 1.0, or the pipeline lies."""
        config = configuration.from_dict(config)
        dataset = importlib.import_module("neutral.data").open_dataset(config, "val")
        targets = [dataset[i][1] for i in range(len(dataset))]
        detections = {
            t.image_id: {"boxes": t.boxes, "labels": t.labels, "scores": np.ones(len(t.labels))}
            for t in targets
        }
        evaluate = importlib.import_module("neutral.evaluation").evaluate
        return {"AP": np.array([evaluate(dataset, detections)["AP"]])}

    def import_trzy(self, config: dict) -> dict[str, np.ndarray]:
        """A checkpoint in trzy's VGG16 layout through the importer; InputError when it does not fit."""
        config = configuration.from_dict(config)
        sources, weights = (
            importlib.import_module(f"neutral.weights.{name}") for name in ("sources", "initial")
        )
        source = next(s for s in sources.SOURCES if s.name.startswith("trzy"))
        stages = ("_stage2_region_proposal_network", "_stage3_detector_network")
        heads = ("_pool_to_feature_vector._fc1", "_pool_to_feature_vector._fc2", "_classifier")
        names = [f"{stages[0]}._rpn_conv1", *(f"{stages[1]}.{head}" for head in heads)]
        converted = {}
        for i, name in enumerate(names, start=1):
            rule, values = sources.find_rule(source, f"{name}.weight")
            ours = sources.fill_places(rule.ours, config).format(**values)
            converted[ours] = np.full(2, i, np.float32)
        box = "roi_heads.box_head"
        wanted = [
            "rpn.head.conv.0.0",
            f"{box}.fc6",
            f"{box}.fc7",
            "roi_heads.box_predictor.cls_score",
        ]
        weights.check_state({f"{name}.weight": (2,) for name in wanted}, converted)
        return converted

    def load_original(self, path: Path, plan: dict[str, list[str]], begun: dict) -> None:
        """A public file through the framework's own loader: `plan` has its names by ours, several to be joined."""
        runtime = importlib.import_module(f"{self.implementation}.runtime")
        first = next(iter(plan.values()))[0]
        tensors = find_names(runtime.load_native(str(path)), first)
        weights = {
            ours: np.concatenate([runtime.as_array(tensors[name]) for name in names])
            for ours, names in plan.items()
        }
        shapes = self.session.shapes()
        self.session.load({k: v.reshape(shapes[k]) for k, v in (weights | begun).items()})

    def save(self, path: Path) -> None:
        """The session's weights, in the format of the suffix."""
        importlib.import_module("neutral.weights").save_weights(path, self.session.state())

    def save_from_zoo(self, name: str, path: Path, images: np.ndarray) -> np.ndarray:
        """Jittor only: a model of its zoo with drawn weights, saved as users do; its last features [B, C, H, W]."""
        runtime = importlib.import_module("jittor_impl.runtime")
        runtime.configure("cpu", "float32")
        self.built = None
        model = getattr(importlib.import_module("jittor.models"), name)()
        golden = importlib.import_module("parity.golden").golden_weights
        shapes = {key: tuple(x.shape) for key, x in model.state_dict().items()}
        model.load_state_dict(golden(shapes))
        model.eval()
        model.save(str(path))
        x = model.maxpool(model.relu(model.bn1(model.conv1(runtime.jt.array(images)))))
        for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
            x = stage(x)
        return x.numpy()

    def load_converted(self, path: Path, naming: str) -> None:
        """A file that convert_weights made, under canonical names or those of the system `naming`."""
        readers, convert = (
            importlib.import_module(f"neutral.weights.{name}") for name in ("readers", "conversion")
        )
        source = convert.named_source(naming) if naming else convert.OWN
        found = convert.convert(readers.read_checkpoint(path), self.session.config, source)
        self.session.load(found.weights())

    def snapshot(self, config: dict) -> dict[str, np.ndarray]:
        """Weights taken before training ("the best so far"), looked at after it."""
        self.build(config, "cpu", "float32")
        weights = importlib.import_module("neutral.weights")
        settings = configuration.from_dict(config)
        data, batching = (
            importlib.import_module(f"neutral.data{part}") for part in ("", ".batching")
        )
        self.session.load(weights.initial_weights(self.session.shapes(), settings))
        kept = self.session.state()
        batch = next(batching.val_batches(data.open_dataset(settings, "val"), settings))
        self.session.train_step(batch, 0, dict.fromkeys(self.session.trained_names(), 0.1))
        return kept

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


def die_with_parent() -> None:
    """This process is killed as soon as the one that made it has ended, however that ends."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG


def find_names(content, first: str) -> Mapping:
    """The dictionary, somewhere in a loaded file, that has the name `first`, without DataParallel's prefix."""
    for prefix in ("", "module."):
        if isinstance(content, Mapping) and prefix + first in content:
            return {k.removeprefix(prefix): v for k, v in content.items()}
    values = content.values() if isinstance(content, Mapping) else ()
    return next((found for v in values if (found := find_names(v, first))), {})


def as_arrays(value):
    """A trace with its lazy parts as dictionaries."""
    if isinstance(value, Mapping):
        return {k: as_arrays(v) for k, v in value.items()}
    return value


def spoiled(ops, kind: str):
    """For ops.surround: "forward" is wrong by a millionth, "backward" in the gradient only, by a thousandth,
    "digits" by some 200 u in float32 only."""

    def around(call):
        def wrong(*args, **named):
            x = call(*args, **named)
            if kind == "forward":
                return x * ops.scalar(1 + 1e-6, x)
            if kind == "backward":
                return ops.frozen(x) + (x - ops.frozen(x)) * ops.scalar(1.001, x)
            return x * ops.scalar(1 + 1.2e-5, x) if "float32" in str(x.dtype) else x

        return wrong

    return around


def as_tensors(ops, arrays: dict) -> dict:
    return {name: None if x is None else ops.array(x) for name, x in arrays.items()}


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
    if os.environ.get(mutants.VARIABLE):
        catalogue = importlib.import_module("parity.mutants.catalogue")
        mutants.install(catalogue.MUTANTS[os.environ[mutants.VARIABLE]])
    server = Server(framework, progress)
    serve(connection, server.handle, Path(progress).parent)


def serve(connection: Connection, handle: Callable, folder: Path) -> None:
    """Answers requests with handle(method, arguments, options) until nobody asks any more.

    folder: where large arrays of requests and answers lie (transport.py).
    """
    while True:
        try:
            method, args, options = receive(connection, folder / REQUEST)
        except EOFError:
            return
        try:
            reply = ("ok", handle(method, args, options))
        except InputError as error:
            reply = ("input", str(error))
        except Exception as error:
            reply = ("error", f"{type(error).__name__}: {error}", traceback.format_exc())
        send(connection, reply, folder / REPLY)


if __name__ == "__main__":
    # pickled arguments name parity.worker.Plain: make this module that module, not a second copy of it
    sys.modules["parity.worker"] = sys.modules["__main__"]
    main()
