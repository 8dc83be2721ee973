"""The command `parity`: measured noise, records, what a pair file says wrongly: refused in one line, exit code 2."""

from __future__ import annotations

import json
import textwrap

import pytest
import torch

from parity import Case, InputError, Result, Status, Verdict, cli, compare, record
from parity.engine.ask.offline import ROLES, weights_of
from parity.engine.judge import checks
from parity.engine.judge.floors import Floors, read_floors
from parity.engine.judge.verdicts import EMPTY, ENVIRONMENT
from parity.engine.sides.pretrained import base, pretrained
from parity.engine.sides.server import as_arrays
from parity.engine.values.record import Record, write_record

pytestmark = pytest.mark.usefixtures("warm_workers")

HALVES = """
    import numpy as np
    import torch
    from torch import nn

    from parity import Case, Side


    class Net(nn.Module):
        def __init__(self, eps):
            super().__init__()
            self._head = nn.Linear(6, 4)
            self.norm = nn.LayerNorm(4, eps=eps)

        def forward(self, x):
            return self.norm(self._head(x))


    def half(eps):
        return Net(eps)


    def inputs():
        return (np.random.default_rng(0).standard_normal((2, 6)),)


    def weights(shapes):
        return {n: np.linspace(-1, 1, np.prod(s), dtype=np.float32).reshape(s) for n, s in shapes.items()}


    def case(name, eps=1e-5, build="half", **more):
        sides = (Side(f"{__file__}:{build}", "torch", arguments={"eps": e}) for e in (1e-5, eps))
        return Case(name, *sides, inputs, **more)
"""


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """pair(last lines of the file): a file with a Case of PyTorch against PyTorch."""
    monkeypatch.chdir(tmp_path)

    def write(last: str, name: str = "pair.py"):
        text = textwrap.dedent(HALVES) + "\n\n" + textwrap.dedent(last)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def refused(capsys, *arguments) -> str:
    """What the command says of these, in one line unless it tells places of the user's."""
    assert cli.main([str(a) for a in arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and "Traceback" not in told
    assert "\\n" not in told, "places have lines of their own"
    return told


def test_noise_is_of_one_case_and_one_device(pair, tmp_path, capsys):
    path, file = pair('CASE = case("mine")'), tmp_path / "floors.json"
    assert "no such file" not in refused(capsys, "run", "--quick", path, "--floors", file)
    assert cli.main(["floors", str(path), "--out", str(file)]) == 0
    assert cli.main(["run", "--quick", str(path), "--floors", str(file)]) == 0
    report = json.loads((tmp_path / "logs/parity/report.json").read_text())
    assert any(v.get("floor") for v in report["verdicts"]), "the floors are told"
    nodes = {v["node"] for v in report["verdicts"]}
    assert {"_head", "_head/in[0]", "norm"} <= nodes, "private names hide nothing"
    other = pair('CASE = case("another")', "another.py")
    assert "has floors of mine, not of another" in refused(
        capsys, "run", "--quick", other, "--floors", file
    )
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"device": "cuda"}))
    before = file.read_bytes()
    told = refused(capsys, "run", "--quick", path, "--floors", file)
    assert "measured on cuda judge nothing that ran on cpu" in told
    assert "holds floors of cuda" in refused(capsys, "floors", path, "--out", file)
    assert file.read_bytes() == before
    for wrong in ({"cases": {"mine": 3}}, {"schema": "other"}, {}):
        file.write_text(json.dumps({"schema": content["schema"]} | wrong))
        assert str(file) in refused(capsys, "run", "--quick", path, "--floors", file)


def test_records_are_judged_by_the_noise_of_their_device(pair, tmp_path, capsys):
    case = Case.from_file(pair('CASE = case("mine", weights=weights)'))
    exact = record(case, "reference", tmp_path / "exact.safetensors").path
    records = [
        record(case, side, tmp_path / f"{side}.safetensors", dtype="float32", replay=exact).path
        for side in ("reference", "candidate")
    ]
    floors = {"forward": {"norm": [1e6, 1e6]}}
    elsewhere = []
    for path in (exact, *records):  # the same records, as if they had been made on a GPU
        made = Record(path)
        trace, about = as_arrays(made), made.about | {"device": "cuda"}
        elsewhere.append(write_record(tmp_path / f"cuda {path.name}", trace, about))

    def limit(*given, **named) -> float:
        found = compare(*given, **named).verdicts
        return next(v.limit for v in found if (v.check, v.node) == (checks.FORWARD_32, "norm"))

    assert limit(exact, *records, floors=Floors(floors, "cpu")) > 1e3 * limit(exact, *records)
    assert limit(*elsewhere, floors=Floors(floors, "cuda")) > 1e3 * limit(*elsewhere)
    with pytest.raises(InputError, match="measured on cpu judge nothing that ran on cuda"):
        compare(*elsewhere, floors=Floors(floors, "cpu"))
    with pytest.raises(InputError, match="different devices"):
        compare(exact, *elsewhere[1:])
    file = tmp_path / "floors.json"
    content = {"schema": "detector-parity/floors/1", "device": "cpu", "cases": {"mine": floors}}
    file.write_text(json.dumps(content))
    assert read_floors(file).of("mine").sections == floors
    names = list(map(str, (exact, *records)))
    assert cli.main(["compare", *names, "--floors", str(file), "--out", "out"]) == 0
    assert "judge nothing" in refused(capsys, "compare", *elsewhere, "--floors", file)


@pytest.mark.parametrize("weights", ["weights=weights", 'weights=f"{__file__}:weights"'])
def test_offline_the_guilty_side_is_named_as_well(pair, tmp_path, weights):
    """By NumPy, which wants the weights: however they were made, and where what made them is no more."""
    path = pair(f'CASE = case("mine", eps=1e-3, {weights})')
    case = Case.from_file(path)
    first = record(case, "reference", tmp_path / "a.safetensors").path
    second = record(case, "candidate", tmp_path / "b.safetensors", reference=first).path
    path.unlink()
    given = weights_of(Record(first))
    assert set(given) == {"_head.weight", "_head.bias", "norm.weight", "norm.bias"}
    assert given["norm.bias"][0] == -1
    (failed,) = (v for v in compare(first, second).failures if v.check == checks.LOCAL_FORWARD_64)
    assert failed.node == "norm" and "eps" in failed.message and "not at hand" not in failed.message


@pytest.mark.parametrize("eps", [1e-5, 1e-2])
@pytest.mark.parametrize("weights", ["", ", weights=weights"], ids=["drawn", "own"])
def test_offline_forced_float32_runs_are_judged_as_well(pair, tmp_path, eps, weights):
    case = Case.from_file(pair(f'CASE = case("mine", eps={eps}{weights})'))
    free = record(case, "reference", tmp_path / "free.safetensors").path
    forced = {"reference": free, "rounded": True}
    exact = record(case, "reference", tmp_path / "exact.safetensors", **forced).path
    forced |= {"dtype": "float32", "replay": exact}
    records = [record(case, s, tmp_path / f"{s}.safetensors", **forced).path for s in ROLES]
    with pytest.raises(InputError, match=r"free\.safetensors free, reference\.safetensors forced"):
        compare(free, *records)
    with pytest.raises(InputError, match=r"exact\.safetensors: was forced itself"):
        compare(exact, exact)
    unrounded = {"reference": free, "dtype": "float32"}
    made = record(case, "candidate", tmp_path / "unrounded.safetensors", **unrounded).path
    with pytest.raises(InputError, match=r"unrounded\.safetensors: was forced with float64"):
        compare(exact, records[0], made)
    result = compare(exact, *records)
    assert {v.check for v in result.verdicts} == {
        checks.LOCAL_FORWARD_32,
        checks.LOCAL_GRADIENTS_32,
    }
    wrong = {v.owner for v in result.failures if v.check == checks.LOCAL_FORWARD_32}
    assert wrong == ({"norm"} if eps == 1e-2 else set())


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("GRADIENT = False", "GRADIENTS"),
        ("Float64 = False", "FLOAT64"),
        ("OPTIMIZER = {}", "OPTIMISER"),
        ("STANDINS = ()", "STAND_INS"),
        ("def jittor_names(name):\n    return name", "jittor_name"),
        ("def target():\n    return ()", "targets"),
    ],
)
def test_a_name_that_is_nearly_one_is_refused(pair, line, meant):
    path = pair(f"{line}\n\n\ndef both_sides():\n    return half(1e-5)")
    with pytest.raises(InputError, match=f"means nothing here; is it {meant}"):
        Case.from_file(path)
    own = line.replace("def ", "def _") if line.startswith("def") else f"_{line}"
    assert Case.from_file(pair(f"{own}\n\n\ndef both_sides():\n    return half(1e-5)"))


def test_other_names_in_a_file_are_its_own(pair):
    lines = (
        "WIDTH = 3\nverbose = True\n\n\ndef build():\n    return half(1e-5)\n\n\nboth_sides = build"
    )
    assert Case.from_file(pair(lines)).name == "pair"


@pytest.mark.parametrize(
    ("line", "arguments"),
    [("FLOAT64, FLOAT32 = False, False", ()), ("FLOAT32 = False", ("--quick",))],
)
def test_without_both_gates_nothing_would_be_compared(pair, capsys, line, arguments):
    path = pair(f"{line}\n\n\ndef both_sides():\n    return half(1e-5)")
    assert "both left out" in refused(capsys, "run", path, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [("map",), ("record", "--side", "reference", "--out", "x.safetensors"), ("floors",)],
    ids=lambda a: a[0],
)
def test_a_side_that_cannot_be_built_is_told_with_its_place(pair, tmp_path, capsys, arguments):
    name, *more = arguments
    path = pair(
        'def broken(eps):\n    return {}["no such width"]\n\n\nCASE = case("mine", build="broken")'
    )
    told = refused(capsys, name, path, *more)
    assert "KeyError: 'no such width'" in told and 'return {}["no such width"]' in told
    if name != "record":  # once is enough
        return
    died = pair(
        'import os\n\n\ndef dead(eps):\n    os._exit(7)\n\n\nCASE = case("mine", build="dead")'
    )
    told = refused(capsys, name, died, *more)
    assert "died" in told and "exit code 7" in told
    assert not (tmp_path / "x.safetensors").exists()


NOTHING = [
    [],
    [Verdict("c", "looked into", "(all)", Status.NOT_RUN, message="left out")],
    [Verdict("c", "float64 forward", "x", Status.PASS, 0.0, 1.0, EMPTY)],
    [
        Verdict(ENVIRONMENT, "sees NaN", "torch", Status.PASS),
        Verdict("c", "looked into", "(all)", Status.NOT_RUN),
    ],
]


@pytest.mark.parametrize("verdicts", NOTHING)
def test_what_compared_nothing_does_not_pass(verdicts):
    with pytest.raises(AssertionError, match="nothing was compared"):
        Result(verdicts).raise_for_failures()
    Result([*verdicts, Verdict("c", "float64 forward", "y", Status.PASS)]).raise_for_failures()


def test_nor_does_a_test_of_pytest(pytester_like):
    for verdicts in NOTHING[1:]:
        with pytest.raises(pytest.fail.Exception, match="nothing was compared"):
            pytester_like(verdicts)
    pytester_like([Verdict("c", "float64 forward", "y", Status.PASS)])


@pytest.fixture
def pytester_like():
    """The fixture's own function, with a report that keeps nothing."""
    from parity import pytest_plugin

    class Kept:
        def add(self, verdicts) -> None:
            pass

    return pytest_plugin.concluding(Kept())


def test_loads_can_be_answered_only_where_a_framework_is(monkeypatch):
    monkeypatch.setattr(base, "loaded", lambda: [])
    with pytest.raises(InputError, match="works where a side is built"), pretrained():
        torch.load("/not/there.pth")
    with pretrained(None):
        pass
