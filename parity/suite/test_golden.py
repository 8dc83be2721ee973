"""Both implementations against the records of the reference systems in ../shared/data/golden."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from neutral.config import preset, to_dict
from neutral.weights.conversion import convert
from neutral.weights.stored import in_memory
from parity.engine.ask.examination import RESIDENT
from parity.engine.judge import gates
from parity.engine.judge.judging import judge, judge_equal, relative_l2
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.workers import FRAMEWORKS
from parity.engine.values.record import Record
from parity.engine.values.scratch import discard, scratch
from parity.suite import gates as own_gates
from parity.suite.ask import ask
from parity.suite.cases import GOLDEN
from parity.suite.golden import FasterRcnnRecord, GoldenRecord, measured

LIMITS = {  # forward, gradients
    "torch": (own_gates.GOLDEN_TORCH, own_gates.GOLDEN_TORCH),
    "jittor": (own_gates.GOLDEN_JITTOR_FORWARD, own_gates.GOLDEN_JITTOR_GRADIENT),
}


@pytest.fixture
def folder():
    found = scratch("golden")
    yield found
    discard(found)


@pytest.mark.parametrize("name", ["detr_r50", "detr_r50_dc5"])
def test_golden(name, pair, conclude, folder):
    if not (GOLDEN / f"{name}.npz").is_file():
        pytest.skip("golden records are not at ../shared/data")
    record = GoldenRecord.load(GOLDEN, name)
    with ThreadPoolExecutor(1) as beside:
        built = beside.submit(ask, pair, "build", to_dict(preset(name)), pair.device, "float64")
        weights = drawn_weights(record.keys)
    built.result()
    pair.both("load", weights)  # strict: the reference's keys are our canonical names
    trained, verdicts = pair.both("trained_names"), []
    for side in FRAMEWORKS:
        pair[side].submit("trace", record.batch, out=folder / f"{side}.safetensors")
    pair.collect(FRAMEWORKS)
    for side, (forward, backward) in LIMITS.items():
        trace = Record(folder / f"{side}.safetensors", RESIDENT)
        case = f"{name}: {side} against the reference's record"
        status = Status.PASS if trained[side] == record.trained else Status.FAIL
        verdicts.append(Verdict(case, "trained parameters", "names", status))
        for key, expected in record.arrays.items():
            if key.startswith("f32/"):
                continue
            values = record.recorded_as(key, measured(trace, key))
            kind = key.partition("/")[0]
            if expected.dtype.kind == "i":
                verdicts.append(_equal(case, key, values, expected))
                continue
            limit = backward if kind == "grad" else forward
            verdicts.append(
                judge(case, kind, key, values.astype(np.float64), expected.ravel(), limit)
            )
        largest = max(record.gradient_norms.values())
        for key, norm in record.gradient_norms.items():
            if (
                norm < gates.EPS64 * largest
            ):  # zero in exact arithmetic: first decoder layer's attention to zeros
                continue
            found = np.array([np.linalg.norm(trace["gradients"][key])])
            verdicts.append(judge(case, "gradient norms", key, found, np.array([norm]), backward))
    conclude(verdicts)


@pytest.mark.parametrize("name", ["trzy_resnet50", "trzy_vgg16", "simple_vgg16"])
def test_golden_faster_rcnn(name, pair, conclude, folder):
    """Through the importer, in float32 as recorded: features, RPN, the proposals in their order, heads."""
    if not (GOLDEN / f"{name}.npz").is_file():
        pytest.skip("golden records are not at ../shared/data")
    record, config = FasterRcnnRecord.load(GOLDEN, name), preset(name)
    with ThreadPoolExecutor(1) as beside:
        built = beside.submit(ask, pair, "build", to_dict(config), pair.device, "float32")
        conversion = convert(in_memory(name, drawn_weights(record.keys)), config)
        assert not conversion.source.fills, "the importer takes a whole detector for a backbone"
        # views of the golden ones where possible: VGG16 has half a gigabyte of them
        weights = {key: conversion.array(key) for key in conversion.shapes}
    built.result()
    pair.both("load", weights)
    trained, verdicts = pair.both("trained_names"), []
    for side in FRAMEWORKS:
        out = folder / f"{side}.safetensors"
        pair[side].submit("trace", record.batch, gradients=False, out=out)
    pair.collect(FRAMEWORKS)
    pair.close()  # gives the memory back; the next request gets new processes
    for side in FRAMEWORKS:
        case = f"{name}: {side} against the reference's record"
        found, wanted = np.array(len(trained[side])), np.array(record.trained)
        verdicts.append(judge_equal(case, "trained parameters", "count", found, wanted))
        trace = Record(folder / f"{side}.safetensors", RESIDENT)
        for key, (values, wanted) in record.compared(trace).items():
            verdicts.append(judge(case, "forward", key, values, wanted, own_gates.GOLDEN_FLOAT32))
    conclude(verdicts)


def _equal(case: str, key: str, values: np.ndarray, expected: np.ndarray) -> Verdict:
    """Indices and labels, which may be of another integer width; an image without targets has none."""
    same = values.shape == expected.ravel().shape and bool((values == expected.ravel()).all())
    status = Status.PASS if same else Status.FAIL
    return Verdict(
        case,
        key.partition("/")[0],
        key,
        status,
        relative_l2(values, expected) if not same else None,
        0.0,
    )
