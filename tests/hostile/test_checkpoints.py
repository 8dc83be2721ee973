"""Checkpoints of a run that are damaged or another's: one line each."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from neutral.checkpoints import Checkpoints, Place
from neutral.config import preset, to_dict, with_overrides
from neutral.errors import InputError
from neutral.run.identity import differences
from neutral.weights import load_file, save_weights
from neutral.weights.initial import check_state
from neutral.weights.readers import read_checkpoint
from tests.hostile.test_weights import DEEP, edited, metadata
from tests.weight_files import example_arrays, write_file


class Session:
    """What Checkpoints asks of one: a tensor and its moments."""

    def __init__(self):
        self.tensors = {"a": np.ones((2, 3), np.float32)}

    def optimiser_state(self):
        return {"a/m": np.zeros((2, 3), np.float32)}, 7

    def state(self):
        return self.tensors

    def load(self, weights):
        check_state({"a": (2, 3)}, weights)

    def load_optimiser(self, moments, updates):
        assert updates == 7


@pytest.fixture
def checkpoints(tmp_path):
    config = with_overrides(preset("scenes_detr"), [])
    found = Checkpoints(tmp_path)
    found.save(Session(), config, Place(epoch=1, step=9, losses=[{"loss": 1.0}]))
    return found, config


def resumed(found: Checkpoints, config=None) -> Place:
    arrays, notes = found.read()
    if config is not None:
        differences(notes, config, {})
    return found.load(Session(), arrays, notes)


def test_a_sound_checkpoint(checkpoints):
    found, _ = checkpoints
    assert resumed(found).step == 9


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"place": "{"}, "place: not valid JSON"),
        ({"place": "3"}, "place: expected object"),
        ({"place": json.dumps(asdict(Place()) | {"epoch": "1"})}, "place: epoch: expected int"),
        ({"place": json.dumps(asdict(Place()) | {"losses": [3]})}, r"place: losses\[0\]: expected"),
        ({"place": DEEP}, "place: (nested too deeply|expected object)"),
        ({"updates": "-1"}, "updates: expected int >= 0"),
        ({"updates": "many"}, "updates: not valid JSON"),
        ({"updates": None}, "lack 'updates'"),
        ({"config": None}, "lack 'config'"),
        ({"config": "[]"}, "config: expected object"),
        ({"config": '{"optimiser": 3}'}, "optimiser"),
        ({"config": json.dumps({"name": "x", "optimiser": {"lr": "NaN"}})}, "optimiser.lr=nan"),
    ],
)
def test_metadata_of_checkpoints(checkpoints, changes, told):
    found, config = checkpoints
    edited(found.newest, metadata(**changes))
    with pytest.raises(InputError, match=told):
        resumed(found, config)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"optimiser/a/m": np.zeros((3, 2), np.float32)}, r"optimiser/a/m is float32 \(3, 2\)"),
        ({"optimiser/a/m": np.zeros((2, 3), np.int32)}, "optimiser/a/m is int32"),
        ({"optimiser/b/m": np.zeros(2, np.float32)}, "optimiser/b/m"),
        ({"a": np.zeros((3, 2), np.float32)}, "of another shape"),
        ({"a": np.zeros((2, 3), np.int64)}, "not floating point"),
        ({"b": np.zeros(2, np.float32)}, "unexpected"),
    ],
)
def test_tensors_of_checkpoints(checkpoints, arrays, told):
    found, config = checkpoints
    held, notes = load_file(found.newest)
    save_weights(found.newest, held | arrays, {k: v for k, v in notes.items() if k != "format"})
    with pytest.raises(InputError, match=told):
        resumed(found, config)


def test_values_of_another_kind_are_no_weights(tmp_path):
    path = write_file(tmp_path, "npz", example_arrays())
    assert read_checkpoint(path).tensors["count"].dtype == "int64"
    with pytest.raises(InputError, match="not floating point"):
        check_state({"count": ()}, {"count": np.array(7)})
    assert to_dict(preset("detr_r50"))["name"] == "detr_r50"
