"""What the suite asks of a worker beside the engine's requests: `worker.run("parity.suite.requests:NAME", ...)`.

Every function gets the worker's Server first. What they import is imported here only when a worker asks.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neutral import config as configuration
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.server import Server
from parity.engine.sides.weighting import fixed_weighting
from parity.suite import subjects
from parity.suite.arguments import Constant, Plain


def implementation(server: Server, module: str):
    """A module of this side's implementation."""
    return importlib.import_module(f"{server.backend_name}_impl.{module}")


def build(
    server: Server, config: dict, device: str, dtype: str, dropout_step: int | None = None
) -> None:
    """The detector of this configuration."""
    side = subjects.sides(config, dropout_step)[server.backend_name == "jittor"]
    server.build(side, device, dtype, training=None)


def session_of(server: Server):
    return server.runner.subject.session


def bare(server: Server, batch, dropout_step: int | None = None) -> None:
    """What a trace runs, with nothing watched: forward, losses, detections, gradients of the parameters."""
    session, ops = session_of(server), implementation(server, "ops")
    outcome = session.run(batch, dropout_step is not None, dropout_step or 0)
    session.detector.detections(outcome, batch)
    for gradient in ops.grad(outcome.total, [session.tensors[name] for name in session.trained]):
        if gradient is not None:
            ops.to_numpy(gradient)


def replayed(server: Server, batch, choices: Mapping[str, np.ndarray]) -> dict[str, dict]:
    """The ledger of a run that repeats these choices: by how much this side would have preferred its own."""
    return server.runner.trace(batch, replay=choices, gradients=False)["ledger"]


def train_steps(server: Server, batches: list, rates_per_step: list[dict]) -> tuple[list, dict]:
    """Losses of every step, and the state after the last."""
    session = session_of(server)
    losses = [
        session.train_step(b, i, r)
        for i, (b, r) in enumerate(zip(batches, rates_per_step, strict=True))
    ]
    return losses, session.state()


def reset(server: Server, weights: dict) -> None:
    """These weights, and an optimiser that has made no step."""
    session = session_of(server)
    moments, _ = session.optimiser_state()
    session.load(weights)
    session.load_optimiser({k: np.zeros_like(v) for k, v in moments.items()}, 0)


def fit(server: Server, batch, steps: int, rates: dict[str, float]) -> dict[str, np.ndarray]:
    """Trains on one batch, over and over: the state afterwards."""
    session = session_of(server)
    for step in range(steps):
        session.train_step(batch, step, rates)
    return session.state()


def detect(server: Server, batch) -> list[dict[str, np.ndarray]]:
    return session_of(server).detect(batch)


def fresh(server: Server, *names: str, device: str = "cpu", dtype: str = "float32") -> list:
    """Modules of the implementation, set up apart from anything that was built."""
    server.forget()
    implementation(server, "runtime").configure(device, dtype)
    return [implementation(server, name) for name in names]


def as_tensors(ops, arrays: dict) -> dict:
    return {name: None if x is None else ops.array(x) for name, x in arrays.items()}


def optimise(server: Server, options, values, slots, steps, gradients, rates, decays) -> tuple:
    """One float32 step of an optimiser that has made `steps`: parameters, and state arrays."""
    training, ops = fresh(server, "training", "ops")
    settings = configuration.OptimiserConfig(**options)
    tensors = {name: ops.array(value) for name, value in values.items()}
    optimiser = training.OPTIMISERS[settings.kind](tensors, decays, settings)
    if slots is not None:
        optimiser.load_state(slots, steps)
    optimiser.step(as_tensors(ops, gradients), rates)
    return {name: ops.to_numpy(x) for name, x in tensors.items()}, optimiser.state()


def clip(server: Server, gradients: dict, max_norm: float, eps: float) -> dict:
    """Clipped gradients, and their norm before it as "norm"."""
    training, ops = fresh(server, "training", "ops")
    clipped, norm = training.clip_gradients(as_tensors(ops, gradients), max_norm, eps)
    arrays = {k: None if g is None else ops.to_numpy(g) for k, g in clipped.items()}
    return arrays | {"norm": np.array([norm], dtype=np.float32)}


# the pipeline around the model


def initial_weights(server: Server, config: dict) -> dict[str, np.ndarray]:
    """The values that a run of this configuration starts from."""
    build(server, config, "cpu", "float32")
    weights = importlib.import_module("neutral.weights")
    return weights.initial_weights(session_of(server).shapes(), configuration.from_dict(config))


def sample_data(server: Server, config: dict) -> dict[str, np.ndarray]:
    """Two training batches and a validation batch, as this process's pipeline makes them, and each image's objects."""
    config, arrays = configuration.from_dict(config), {}
    data, batching = (importlib.import_module(f"neutral.data{part}") for part in ("", ".batching"))
    for name, split, make, count in (
        ("train", "train", lambda d: batching.train_batches(d, config, 0), 2),
        ("val", "val", lambda d: batching.val_batches(d, config), 1),
    ):
        batches = make(data.open_dataset(config, split))
        for i, batch in zip(range(count), batches):
            padded = batching.pad_targets(batch.targets)
            arrays[f"{name}{i}/boxes"], arrays[f"{name}{i}/labels"] = padded.boxes, padded.labels
            arrays[f"{name}{i}/mask"], arrays[f"{name}{i}/images"] = batch.mask, batch.images
            for k, target in enumerate(batch.targets):
                arrays[f"{name}{i}/{k}/boxes"] = target.boxes
                arrays[f"{name}{i}/{k}/labels"] = target.labels
    return arrays


def perfect_detections(server: Server, config: dict) -> dict[str, np.ndarray]:
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


def snapshot(server: Server, config: dict) -> dict[str, np.ndarray]:
    """Weights taken before training ("the best so far"), looked at after it."""
    build(server, config, "cpu", "float32")
    session, weights = session_of(server), importlib.import_module("neutral.weights")
    settings = configuration.from_dict(config)
    data, batching = (importlib.import_module(f"neutral.data{part}") for part in ("", ".batching"))
    session.load(weights.initial_weights(session.shapes(), settings))
    kept = session.state()
    batch = next(batching.val_batches(data.open_dataset(settings, "val"), settings))
    session.train_step(batch, 0, dict.fromkeys(session.trained, 0.1))
    return kept


# weights on disk


def import_trzy(server: Server, config: dict) -> dict[str, np.ndarray]:
    """A checkpoint in trzy's VGG16 layout through the importer; InputError when it does not fit."""
    config = configuration.from_dict(config)
    rules, recognising, weights = (
        importlib.import_module(f"neutral.weights.{name}")
        for name in ("rules", "recognising", "initial")
    )
    source = recognising.named_source("trzy")
    stages = ("_stage2_region_proposal_network", "_stage3_detector_network")
    heads = ("_pool_to_feature_vector._fc1", "_pool_to_feature_vector._fc2", "_classifier")
    names = [f"{stages[0]}._rpn_conv1", *(f"{stages[1]}.{head}" for head in heads)]
    converted = {}
    for i, name in enumerate(names, start=1):
        rule, values = rules.find_rule(source, f"{name}.weight")
        ours = rules.fill_places(rule.ours, config).format(**values)
        converted[ours] = np.full(2, i, np.float32)
    box = "roi_heads.box_head"
    wanted = ["rpn.head.conv.0.0", f"{box}.fc6", f"{box}.fc7", "roi_heads.box_predictor.cls_score"]
    weights.check_state({f"{name}.weight": (2,) for name in wanted}, converted)
    return converted


def load_original(server: Server, path: Path, plan: dict[str, list[str]], begun: dict) -> None:
    """A public file through the framework's own loader: `plan` has its names by ours, several to be joined."""
    runtime, session = implementation(server, "runtime"), session_of(server)
    first = next(iter(plan.values()))[0]
    tensors = find_names(runtime.load_native(str(path)), first)
    weights = {
        ours: np.concatenate([runtime.as_array(tensors[name]) for name in names])
        for ours, names in plan.items()
    }
    shapes = session.shapes()
    session.load({k: v.reshape(shapes[k]) for k, v in (weights | begun).items()})


def find_names(content, first: str) -> Mapping:
    """What a loaded file holds by name, dictionaries within it and wrappers' prefixes passed over up to `first`."""
    named = flattened(content)
    leads = [k.removesuffix(first) for k in named if k == first or k.endswith(f".{first}")]
    lead = min(leads, key=len, default="")
    return {k.removeprefix(lead): v for k, v in named.items() if k.startswith(lead)}


def flattened(content, place: str = "") -> dict:
    """Values of nested dictionaries by dotted names."""
    if not isinstance(content, Mapping):
        return {place.removesuffix("."): content}
    parts = (flattened(value, f"{place}{key}.") for key, value in content.items())
    return {key: value for part in parts for key, value in part.items()}


def save(server: Server, path: Path) -> None:
    """The session's weights, in the format of the suffix."""
    importlib.import_module("neutral.weights").save_weights(path, session_of(server).state())


def save_from_zoo(server: Server, name: str, path: Path, images: np.ndarray) -> np.ndarray:
    """Jittor only: a model of its zoo with drawn weights, saved as users do; its last features [B, C, H, W]."""
    (runtime,) = fresh(server, "runtime")
    model = getattr(importlib.import_module("jittor.models"), name)()
    shapes = {key: tuple(x.shape) for key, x in model.state_dict().items()}
    model.load_state_dict(drawn_weights(shapes))
    model.eval()
    model.save(str(path))
    x = model.maxpool(model.relu(model.bn1(model.conv1(runtime.jt.array(images)))))
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = stage(x)
    return x.numpy()


def load_converted(server: Server, path: Path, naming: str) -> None:
    """A file that convert_weights made, under canonical names or those of the system `naming`."""
    readers, conversion, recognising = (
        importlib.import_module(f"neutral.weights.{name}")
        for name in ("readers", "conversion", "recognising")
    )
    session = session_of(server)
    source = recognising.named_source(naming) if naming else recognising.OWN
    found = conversion.convert(readers.read_checkpoint(path), session.config, source)
    session.load(found.weights())


def run_op(server: Server, name: str, arguments: tuple, device: str, dtype: str) -> tuple:
    """Calls ops.NAME(*arguments): (outputs, gradients of a fixed weighting of the first output).

    Float arrays become tensors of `dtype` and get a gradient, unless wrapped in `Constant`; what is wrapped
    in `Plain` is passed as is.
    """
    (ops,) = fresh(server, "ops", device=device, dtype=dtype)
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
        weights = ops.array(fixed_weighting(tuple(outputs[0].shape)), like=outputs[0])
        found = ops.grad((outputs[0] * weights).sum(), list(sources.values()))
        gradients = [None if g is None else ops.to_numpy(g) for g in found]
    arrays = [ops.to_numpy(o) if hasattr(o, "shape") else np.asarray(o) for o in outputs]
    return arrays, gradients
