"""Records: what is written is what is read, node by node, and nothing else is taken for one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from neutral.errors import InputError
from parity.engine.values.record import Record, write_in_two, write_record
from parity.report.changes import SCHEMA as REPORT_SCHEMA
from parity.report.changes import changed_nodes

TRACE = {
    "nodes": {
        "a": np.arange(6.0).reshape(2, 3),
        "b/in[0]": np.array([True, False]),
        "e": np.zeros(0),
    },
    "node_gradients": {"a": np.ones((2, 3), np.float32), "b": None},
    "matches": [[(np.array([1, 2]), np.array([0, 1]))]],
    "total": np.array(3.5),
    "errors": {"class_error": 50.0},
    "owners": {"a": "(model)"},
}


@pytest.fixture
def path(tmp_path):
    return write_record(tmp_path / "r.safetensors", TRACE, {"side": "torch"})


def test_round_trip(path):
    record = Record(path)
    assert record.about == {"side": "torch"}
    assert list(record) == list(TRACE)
    for name, values in TRACE["nodes"].items():
        assert record["nodes"][name].dtype == values.dtype
        assert np.array_equal(record["nodes"][name], values)
    assert list(record["nodes"]) == list(TRACE["nodes"]), "the order is that of execution"
    assert record["node_gradients"]["b"] is None
    assert record["matches"][0][0][1].tolist() == [0, 1]
    assert record["total"].shape == ()
    assert record["errors"] == {"class_error": 50.0}


def test_numbers_that_json_has_not_come_back(tmp_path):
    trace = {"nodes": {}, "results": {"a": [math.nan, -math.inf, 1.5]}, "errors": {"e": math.inf}}
    record = Record(write_record(tmp_path / "n.safetensors", trace, {}))
    first, *others = record["results"]["a"]
    assert math.isnan(first) and others == [-math.inf, 1.5]
    assert type(first) is float and record["errors"]["e"] == math.inf


def test_what_is_known_before_the_gradients_can_be_read_before(tmp_path):
    class Gradients(dict):
        def __getitem__(self, name):
            early = Record(path, early=True)
            assert np.array_equal(early["nodes"]["a"], TRACE["nodes"]["a"])
            assert "node_gradients" not in early and "gradients" not in early
            with pytest.raises(InputError, match="no such record"):
                Record(path)
            return super().__getitem__(name)

        def describe(self, name):
            return "float32", (2, 3)

    path = tmp_path / "r.safetensors"
    trace = TRACE | {"node_gradients": Gradients(a=TRACE["node_gradients"]["a"])}
    write_in_two(path, trace, {"side": "torch"})
    record = Record(path, 1)
    assert record.about == {"side": "torch"}
    assert set(record) == set(TRACE)
    assert np.array_equal(record["node_gradients"]["a"], np.ones((2, 3)))
    assert record["total"] == 3.5


def test_it_is_a_safetensors_file_that_anybody_can_read(path):
    arrays = load_file(path)
    assert np.array_equal(arrays["/nodes/a"], TRACE["nodes"]["a"])


def test_what_is_no_record_is_refused(tmp_path, path):
    with pytest.raises(InputError, match="no such record"):
        Record(tmp_path / "missing")
    weights = tmp_path / "weights.safetensors"
    save_file({"w": np.zeros(3)}, weights)
    with pytest.raises(InputError, match="its schema is None"):
        Record(weights)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="not a record"):
        Record(cut)


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        write_record(tmp_path / "r.safetensors", {"x": np.zeros(2, complex)}, {})
    assert list(tmp_path.iterdir()) == []


def report(**verdicts) -> dict:
    rows = [
        {"case": "c", "check": "k", "node": node, "status": status, "measured": m, "limit": 1e-6}
        for node, (status, m) in verdicts.items()
    ]
    return {"schema": REPORT_SCHEMA, "verdicts": rows}


def test_two_reports_compare_to_the_changed_nodes():
    u = 2.0**-24
    old = report(same=("PASS", 5 * u), more=("PASS", 5 * u), gone=("PASS", u), red=("PASS", u))
    new = report(
        same=("PASS", 6 * u), more=("PASS", 9 * u), red=("FAIL", 90 * u), fresh=("PASS", u)
    )
    assert changed_nodes(old, old) == []
    lines = changed_nodes(old, new)
    assert "c / k / more: error 5u to 9u" in lines
    assert "c / k / red: PASS to FAIL, error 1u to 90u" in lines
    assert any("gone: is gone" in line for line in lines)
    assert any("fresh: is new" in line for line in lines)
    assert not any("same" in line for line in lines)
    with pytest.raises(InputError, match="schema"):
        changed_nodes(json.loads("{}"), new)
