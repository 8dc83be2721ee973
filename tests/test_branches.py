"""Branches that no input reaches: seen by place in the user's code, and reached by changed values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parity import Case, Side, Workers, check_branches
from parity.cli import main
from parity.engine.ask.probing import Probing
from parity.engine.judge import kinds
from parity.engine.judge.verdicts import Status
from parity.engine.sides.branches import Branches
from parity.engine.sides.probes import emptied, equal, touching
from parity.errors import OutOfTime

pytestmark = pytest.mark.usefixtures("warm_workers")

PAIR = """
import numpy as np


def build(nn, clamp):
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.last = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            return {"out": clamp(self.last(self.conv(x) + 1))}

        execute = forward

    return Head()


def torch_side():
    from torch import nn

    return build(nn, lambda x: TORCH)


def jittor_side():
    import jittor as jt
    from jittor import nn

    return build(nn, lambda x: JITTOR)


def inputs():
    return (np.random.default_rng(0).standard_normal((2, 3, 8, 8)),)
"""


@pytest.fixture(scope="module")
def workers():
    with Workers() as found:
        yield found


def write(folder: Path, torch: str, jittor: str) -> Path:
    path = folder / "pair.py"
    path.write_text(PAIR.replace("TORCH", torch).replace("JITTOR", jittor))
    return path


@pytest.mark.parametrize(
    ("torch", "jittor", "text"),
    [
        ("x", "x.minimum(10.0)", "held at 10"),
        ("x * x / (x * x).clamp(min=1e-12).sqrt()", "x.abs()", "1e-9 times"),
        ("x", "jt.ternary(x < -20, x * 0, x)", "only jittor has pair.py:29: < -20"),
        ("(x * x).clamp(min=1e-300).log()", "jt.log(x * x)", "not finite in the candidate only"),
    ],
)
def test_a_branch_of_one_side_only_is_reached(workers, tmp_path, torch, jittor, text):
    result = check_branches(Case.from_file(write(tmp_path, torch, jittor)), workers)
    (cause,) = result.causes
    assert cause.kind in (kinds.BRANCH, kinds.TERM, kinds.FORMULA)
    assert text in cause.summary
    assert cause.candidate_code.startswith(str(tmp_path))


SATURATED = "jt.log(1 - jt.clamp(jt.sigmoid(x), 1e-4, 1 - {}))"


def test_a_rounded_constant_is_no_branch_where_it_is_enlarged(workers, tmp_path):
    torch = "(1 - x.sigmoid().clamp(1e-4, 1 - 1e-4)).log()"
    result = check_branches(Case.from_file(write(tmp_path, torch, SATURATED.format(1e-4))), workers)
    known = [v for v in result.verdicts if v.status is Status.KNOWN]
    assert known and not result.failures and "rounded to float32" in known[0].message
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other", torch, SATURATED.format(2e-4))
    result = check_branches(Case.from_file(other), workers)
    assert result.causes, "another bound is one"


def test_what_was_found_before_a_side_died_is_told(workers, tmp_path, monkeypatch):
    one, asked = Probing.one, []

    def dying(self, probe, *arguments):
        asked.append(probe)
        if len(asked) == 3:
            raise OutOfTime("torch worker was stopped by the time limit", "run")
        one(self, probe, *arguments)

    monkeypatch.setattr(Probing, "one", dying)
    case = Case.from_file(write(tmp_path, "x", "x.minimum(10.0)"))
    result = check_branches(case, workers)
    (cause,) = result.causes
    assert "held at 10" in cause.summary
    assert "time limit" in result.verdicts[-1].message


CHOSEN = "(lambda f: (lambda s: (s[0], f.gather(1, s[1])))({}))({})"


def test_equal_scores_may_be_ranked_in_any_order(workers, tmp_path):
    torch = CHOSEN.format("f.sigmoid().topk(5)", "x.flatten(1)")
    # from behind: of equal ones others are chosen
    jittor = CHOSEN.format("jt.topk(jt.sigmoid(f), 5)", "x.reshape(2, -1).flip(1)")
    assert not check_branches(Case.from_file(write(tmp_path, torch, jittor)), workers).failures
    torch, jittor = torch.replace("f.sigmoid()", "f"), jittor.replace("jt.sigmoid(f)", "f")
    jittor = jittor.replace("f.gather(1, s[1])", "f.gather(1, s[1]).minimum(10.0)")
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other", torch, jittor)
    result = check_branches(Case.from_file(other), workers)
    assert result.causes, "where they are not equal what is chosen is compared"


def test_what_is_never_reached_is_not_run_and_equal_branches_are_silent(workers, tmp_path):
    path = write(tmp_path, "x.clamp(max=1e9)", "jt.clamp(x, max_v=1e9)")
    result = check_branches(Case.from_file(path), workers)
    assert not result.failures
    asked = [v for v in result.verdicts if v.status is Status.NOT_RUN]
    assert {v.message.partition(":")[0] for v in asked} == {"torch", "jittor"}
    assert all("max=1e+09" in v.node and "pair.py:" in v.node for v in asked)


def test_a_module_that_one_side_alone_has_is_not_forced(workers, tmp_path):
    path = write(tmp_path, "x", "x.tanh()")
    text = path.read_text().replace(
        "nn.Conv2d(4, 4, 1)\n", "nn.Conv2d(4, 4, 1)\n            self.act = clamp\n"
    )
    path.write_text(text.replace("build(nn, lambda x: x)", "build(nn, nn.Tanh())"))
    result = check_branches(Case.from_file(path), workers)
    assert not result.failures
    assert sum(v.status is Status.PASS for v in result.verdicts) > 3


def ask(server) -> tuple[dict, int]:
    """In a worker: questions that this code asks, and how many hold after the watching."""
    backend = server.backend
    backend.configure("cpu", "float32")
    x, branches = backend.array(np.linspace(-1, 1, 6, dtype=np.float32)), Branches(backend)
    with backend.watching_branches(branches):
        x.clamp(-2, 0.5)
        backend.where(x > 5, x, -x)  # called by the harness, not by this code
        x.masked_fill(x > 0, 0.0)
    return branches.told(), int(backend.to_numpy((x > 0).sum()).item())


def test_both_backends_see_the_same_questions(workers):
    for told, after in workers.run(f"{__file__}:ask").values():
        asked = {key.rpartition(": ")[2]: seen for key, seen in told.items()}
        assert asked.pop("mask") == asked.pop("> 0") == [True, True]
        assert asked == {"min=-2": [False, True], "max=0.5": [True, True], "> 5": [False, True]}
        assert after == 3  # nothing is watched any more


def test_probes_of_boxes_and_of_targets():
    boxes = np.array([[0.0, 0, 1, 1], [5, 5, 7, 8], [2, 2, 3, 3]])
    found = touching(boxes)
    assert found[1].tolist() == [1, 1, 3, 4] and found[2].tolist() == boxes[2].tolist()
    assert (equal(boxes) == boxes[0]).all()
    noise = np.random.default_rng(0).standard_normal((5, 4))
    assert touching(noise) is noise
    target = {"boxes": boxes, "labels": np.arange(3), "size": np.array([8, 8])}
    empty = emptied([target])[0]
    assert empty["boxes"].shape == (0, 4) and empty["labels"].shape == (0,)
    assert empty["size"].tolist() == [8, 8]


def test_quick_and_limits_say_what_is_left_out(tmp_path, capsys):
    path = write(tmp_path, "x", "x")
    out = str(tmp_path / "out")
    assert main(["run", str(path), "--quick", "--out", out, "--table"]) == 0
    told = capsys.readouterr().out
    assert "left out by --quick" in told and "4 NOT_RUN" in told
    assert main(["run", str(path), "--limit", "0.01", "--out", out, "--table"]) == 1
    assert "time limit" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["run", str(path), "--limit", "-1"])


def test_a_branch_that_changes_gradients_only_is_reached(workers, tmp_path):
    held = "x.minimum(10.0) + (x - x.minimum(10.0)).detach()"  # x, with the gradient of the minimum
    (cause,) = check_branches(Case.from_file(write(tmp_path, "x", held)), workers).causes
    assert cause.kind == kinds.BACKWARD and "only jittor has pair.py:29: min with" in cause.summary
    assert cause.candidate_code.endswith("pair.py:29")


POSTPROCESS = """
from torch import nn

from parity import Subject


def half(bound=None):
    def postprocess(outputs, inputs, run):
        boxes = outputs * 4
        return {"boxes": boxes if bound is None else boxes.clamp(max=bound)}

    return Subject(nn.Conv2d(3, 4, 1), postprocess=postprocess)
"""


def test_a_branch_of_post_processing_is_reached(tmp_path):
    path = tmp_path / "half.py"
    path.write_text(POSTPROCESS)
    sides = [Side(f"{path}:half", "torch", arguments=a) for a in ({}, {"bound": 100.0})]
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    (cause,) = check_branches(Case("post", *sides, lambda: (x,))).causes
    assert "max=100" in cause.summary and cause.confidence == "sure"


REFUSES = """
import numpy as np


def half(limited):
    def loss(probability, distance):
        assert 0 <= float(probability.min()) and float(probability.max()) <= 1
        return (limited(distance.exp()) * probability).sum()

    return loss


def torch_side():
    return half(lambda x: x)


def jittor_side():
    return half(lambda x: x.clamp(max_v=10.0))


def inputs():
    return np.full((2, 3), 0.5), np.random.default_rng(0).standard_normal((2, 3)) / 16
"""


def test_one_input_at_a_time_where_the_reference_refuses_all(workers, tmp_path):
    path = tmp_path / "refuses.py"
    path.write_text(REFUSES)
    found = check_branches(Case.from_file(path), workers).verdicts
    refused = [v for v in found if v.status is Status.NOT_RUN and "AssertionError" in v.message]
    assert "with 64 times the values: torch" in refused[0].message
    (told,) = (v for v in found if v.status is Status.FAIL and v.kind != kinds.BACKWARD)
    assert "of (model)/in[1] alone" in told.message
    assert "only jittor has refuses.py:18: max=10" in told.message
