"""What a pair file says wrongly is told in a line that names it, as early as it can be known."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from parity import Case, InputError, Status, Workers, check_initial, check_steps, examine
from parity.pair_file import NAMES
from tests.commands import ROOT

BOTH = "def both_sides():\n    return print\n\n\ndef inputs():\n    return ()\n"


def write(folder: Path, says: str, name: str = "pair.py") -> Path:
    (folder / name).write_text(f"{BOTH}\n{says}\n")
    return folder / name


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("targets = (1, 2)", r"targets is of type tuple; write def targets\(...\):"),
        ('weights = {"0.weight": 1}', "weights is of type dict"),
        ('jittor_name = {"a": "b"}', "jittor_name is of type dict"),
        ('DROPPED = ["a"]', "DROPPED is of type list; write a dictionary"),
        ('OPTIMISER = "sgd"', "OPTIMISER is of type str; write a dictionary"),
        ('FLOAT64 = "no"', "FLOAT64 is of type str; write True or False"),
        ("GRADIENTS = None", "GRADIENTS is of type NoneType"),
        ("TRAINING = 2", "TRAINING is of type int; write True, False or None"),
        ("def inputs(seed):\n    return ()", r"inputs is called as inputs\(\); give"),
        ("def weights():\n    return {}", r"weights is called as weights\(shapes\)"),
        ("def torch_step(a, b):\n    pass", r"called as torch_step\(model, batch, step\)"),
        ("def jittor_data():\n    pass", r"called as jittor_data\(seed\)"),
        ("def both_sides(config):\n    pass", r"called as both_sides\(\)"),
        ("batches = 3", "batches is of type int"),
        ('UNTRAINED = "mask"', "UNTRAINED is of type str; write a tuple of names of inputs"),
        ('UNTRAINED = (x for x in "ab")', "UNTRAINED is of type generator; write a tuple"),
        ('UNTRAINED = ("a", 3)', "write a tuple of names of inputs, each a text"),
        ("STAND_INS = 5", "STAND_INS is of type int; write a tuple"),
        ("PRETRAINED = 5", "PRETRAINED is of type int"),
        ('PATHS = {"reference": "."}', "PATHS: 'reference' is no half; write torch and jittor"),
        ('LAYOUT = {"a": (1, 0)}', r"LAYOUT\['a'\] is \(1, 0\); write transposed"),
        ('SPLIT = {"a": "b"}', r"SPLIT\['a'\] is 'b'; write a tuple of names"),
        ("CASE = {}", "CASE is a dict; write parity.Case"),
        ("import sys\nsys.exit(3)", "cannot be run: it calls sys.exit: 3"),
    ],
)
def test_what_would_be_ignored_or_trip_later_is_told_at_once(tmp_path, says, message):
    path = write(tmp_path, says)
    with pytest.raises(InputError, match=message):
        Case.from_file(path)
    right = ("TRAINING = None", "batches = []", 'STAND_INS = {"a"}', "PATHS = ()", "FLOAT64 = 0")
    for k, line in enumerate(right):
        Case.from_file(write(tmp_path, line, f"{k}.py"))
    with pytest.raises(InputError, match="is a folder"):
        Case.from_file(tmp_path)


REQUIRED = {"torch_side", "jittor_side", "inputs"}


def test_the_table_of_docs_pairs_has_every_name_that_may_be_left_out():
    page = (ROOT / "docs" / "pairs.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| ", page.partition("A name that is nearly")[0], re.MULTILINE)
    told = {re.match(r"\w+", code)[0] for row in rows for code in re.findall(r"`([^`]+)`", row)}
    assert told == set(NAMES) - REQUIRED


TORCH = """
import numpy as np


def both_sides():
    from torch import nn

    return nn.Sequential(nn.Linear(3, 4), nn.ReLU())


def inputs():
    return (np.ones((2, 3)),)


{}
"""


@pytest.fixture(scope="module")
def workers():
    """Two of PyTorch's, so that nothing is compiled."""
    with Workers("torch", "torch") as both:
        yield both


def torch_case(folder: Path, says: str, **changes) -> Case:
    """The pair with these lines at its end, both halves in PyTorch."""
    path = folder / "torch_pair.py"
    path.write_text(TORCH.format(textwrap.dedent(says)))
    case = Case.from_file(path)
    half = replace(case.reference, backend="torch")
    return replace(case, reference=half, candidate=half, float32=False, **changes)


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("def inputs():\n    pass", r"inputs\(\) gives nothing"),
        (
            "def inputs():\n    import torch\n    return (1, torch.ones(2, 3))",
            r"inputs\(\) gives a Tensor at \[1\]; give NumPy arrays",
        ),
        (
            "def weights(shapes):\n    import torch\n    return {'0.bias': torch.ones(4)}",
            r"weights\(\) gives a Tensor at \[0.bias\]",
        ),
        ("def weights(shapes):\n    return list(shapes)", r"weights\(shapes\) gives a list"),
        ("def weights(shapes):\n    return {}", r"weights\(shapes\) lacks 0.weight, lacks 0.bias"),
        (
            "def weights(shapes):\n    return {n: np.ones(7) for n in shapes}",
            r"gives 0.weight as \(7,\), not \(4, 3\), gives 0.bias as \(7,\), not \(4,\)",
        ),
    ],
)
def test_what_functions_of_a_pair_give_is_looked_at(tmp_path, workers, says, message):
    with pytest.raises(InputError, match=message):
        examine(torch_case(tmp_path, says), workers)


def test_inputs_that_raise_are_one_failure_with_their_line(tmp_path, workers):
    for says, told in (
        ("def inputs():\n    return open('/no/such/file')", "FileNotFoundError"),
        ("def inputs():\n    return (lambda x: x,)", "cannot be handed over: give arrays"),
    ):
        case = torch_case(tmp_path, says)
        (failed,) = examine(case, workers, scripts=tmp_path / "scripts").failures
        assert told in failed.message and "no such record" not in failed.message


def test_what_halves_are_told_is_looked_at_when_they_are_built(tmp_path, workers):
    names = (
        "def both_sides():\n    from torch import nn\n    from parity import Subject\n    return "
    )
    for says, told in (
        (names + "nn.ReLU", "torch's half is the class ReLU; build a module of torch"),
        (names + "nn.ReLU(), nn.ReLU()", "torch's half is a tuple"),
        (names + "Subject({'a': nn.ReLU(), 'b': 3})", "torch's half is a int"),
        ('OPTIMISER = {"learning_rate": 0.1}', "optimiser options: no learning_rate"),
        (names + "Subject(nn.Linear(3, 4), name=lambda n: None)", "name of 'weight' is None"),
        (
            "from parity import transposed\n" + names + "Subject(nn.Linear(3, 4), "
            "layout={'bias': transposed(1, 0)})",
            r"layout of bias, shape \(4,\)",
        ),
    ):
        with pytest.raises(InputError, match=told):
            check_initial(torch_case(tmp_path, says), workers)


def test_workers_of_other_sides_are_told(tmp_path, workers):
    case = torch_case(tmp_path, "")
    named = replace(case, candidate=replace(case.candidate, label="new"))
    with pytest.raises(InputError, match="called reference and candidate, not torch and new; make"):
        examine(named, workers)


def test_a_number_that_is_none_ends_no_run(tmp_path, workers):
    case = torch_case(tmp_path, "def inputs():\n    return (np.full((2, 3), np.nan),)")
    found = examine(case, workers)
    assert any("not finite" in v.message for v in found.failures)


def test_a_step_of_one_side_alone_is_told(tmp_path, workers):
    case = torch_case(tmp_path, "def torch_step(model, batch, step):\n    return {}")
    other = replace(case.candidate, arguments=case.candidate.arguments | {"half": "jittor"})
    (found,) = check_steps(replace(case, candidate=other), workers).verdicts
    assert (
        found.status is Status.NOT_RUN and "only reference has a step of its own" in found.message
    )


def test_steps_are_given_the_batches(tmp_path, workers):
    """Of the harness's own optimiser, too: losses are those of other inputs."""

    def losses(says: str) -> list[float]:
        found = check_steps(torch_case(tmp_path, says), workers, steps=3)
        assert not found.failures
        return [v.rms for v in found.verdicts if v.node.endswith("/loss")]

    usual = losses("")
    other = losses("def batches():\n    return [(np.full((2, 3), k),) for k in (1.0, 9.0)]")
    assert len(usual) == len(other) == 3
    assert other[0] == usual[0] and other[1] > 2 * usual[1] and other[2] < other[1]
    for says, told in (
        ("def batches():\n    pass", "batches gives a NoneType; give a list"),
        ("def batches():\n    return {'x': 1}", "batches gives a dict"),
        ("batches = ()", "batches is empty"),
    ):
        with pytest.raises(InputError, match=told):
            losses(says)
