"""Weights across the frameworks: what one saves the other loads, and both ends of a conversion compute alike."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from neutral.config import preset, to_dict, with_overrides
from neutral.weights import load_file, save_weights
from neutral.weights.conversion import convert
from neutral.weights.layout import canonical_shapes
from neutral.weights.readers import read_checkpoint
from neutral.weights.recognising import named_source
from neutral.weights.writers import write_weights
from parity.engine.judge.judging import judge, judge_equal, judge_nodes
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.workers import FRAMEWORKS
from parity.suite import gates
from parity.suite.ask import ask
from parity.suite.verify import example_batch, verify

SQUARE = "transformer.decoder.layers.1.multihead_attn.out_proj.weight"


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pkl"])
@pytest.mark.parametrize("writer", FRAMEWORKS)
def test_what_one_framework_saves_the_other_loads(writer, suffix, pair, conclude, tmp_path):
    reader = next(f for f in FRAMEWORKS if f != writer)
    config, path = preset("scenes_frcnn"), tmp_path / f"weights{suffix}"
    ask(pair, "build", to_dict(config), pair.device, "float32")
    weights = drawn_weights(pair[writer].call("shapes"))
    pair[writer].call("load", weights)
    ask(pair[writer], "save", path)
    ask(pair[reader], "load_converted", path, "")
    case = f"{writer} saves {suffix}, {reader} loads it"
    judge_one = partial(judge_equal, case, "weights")
    conclude(judge_nodes(case, "weights", weights, pair[reader].call("state"), judge_one))


@pytest.fixture
def official(tmp_path):
    """A DETR file as PyTorch users have it, and its conversion."""
    config = preset("scenes_detr")
    path = tmp_path / "detr.pth"
    save_weights(path, drawn_weights(canonical_shapes(config)))
    return convert(read_checkpoint(path), config)


@pytest.mark.parametrize(
    ("suffix", "naming"),
    [(".safetensors", None), (".pkl", "Ber0ton's Jittor DETR"), (".pth", "Hugging Face DETR")],
)
def test_both_ends_of_a_conversion_compute_the_same(
    official, suffix, naming, pair, conclude, tmp_path
):
    target = named_source(naming) if naming else None
    path = write_weights(tmp_path / f"out{suffix}", official.items(target), {})
    conclude(verify(official, path, target, pair))


def test_a_jittor_file_is_read_by_jittor(official, pair, conclude, tmp_path):
    path = write_weights(tmp_path / "a.pkl", official.items(), {})
    again = convert(read_checkpoint(path), official.config)
    conclude(verify(again, write_weights(tmp_path / "b.pth", again.items(), {}), None, pair))


@pytest.mark.parametrize("fault", ["transposed", "parts swapped"])
def test_a_matrix_that_changed_on_the_way_is_named(fault, official, pair, conclude, tmp_path):
    """The same shape, so no loader minds."""
    path = write_weights(tmp_path / "out.safetensors", official.items(), {})
    weights = load_file(path)[0]
    key = SQUARE if fault == "transposed" else SQUARE.replace("out_proj.", "in_proj_")
    values = weights[key]
    if fault == "transposed":
        assert values.shape[0] == values.shape[1]
        weights[key] = values.T
    else:
        weights[key] = np.concatenate(np.split(values, 3)[::-1])
    save_weights(path, weights)
    failed = [v for v in verify(official, path, None, pair) if v.status is Status.FAIL]
    first = failed[0].node if failed else "nothing"
    named = SQUARE.removesuffix(".out_proj.weight")
    status = Status.PASS if first.startswith(named) else Status.FAIL
    message = f"planted; the first difference is at {first}"
    conclude([Verdict("a changed matrix is named", fault, named, status, message=message)])


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_jittors_model_zoo(name, pair, conclude, tmp_path):
    """A model of jittor.models through its own file: both frameworks' backbones give its features."""
    config = with_overrides(preset("scenes_detr"), zoo_overrides(name))
    batch, path = example_batch(config), tmp_path / f"{name}.pkl"
    features = ask(pair["jittor"], "save_from_zoo", name, path, batch.images)
    conversion = convert(read_checkpoint(path), config)
    assert conversion.source.name == "Jittor model zoo ResNet"
    ask(pair, "build", to_dict(config), pair.device, "float32")
    pair.both("load", conversion.weights())
    traces = pair.both("trace", batch, gradients=False)
    conclude(
        [
            judge(
                f"jittor.models.{name}: {side}",
                "features",
                "backbone.0.body",
                traces[side]["nodes"]["backbone.0.body[0]"],
                features,
                gates.GOLDEN_FLOAT32,
            )
            for side in FRAMEWORKS
        ]
    )


def zoo_overrides(name: str) -> list[str]:
    as_theirs = (f"name={name}", "width=64", "norm=frozen_batch", "layer4_stride=2")
    return [f"model.backbone.{k}" for k in as_theirs]
