"""Which causes name the place of a bred mutant, and which do not."""

from __future__ import annotations

from parity.mutants import ROOT
from parity.mutants.breeding import bred
from parity.suite.breeding import campaign, unit_tests
from parity.suite.breeding.questions import all_checks
from parity.suite.breeding.right import is_right
from parity.suite.session_requests import empty, told
from tests.bred_outcomes import a_cause, a_mutant, a_mutant_at, line_of


def test_right_is_the_module_in_whose_call_the_function_ran():
    learned = {
        "owners": {"jittor_impl/detr/model.py:MLP.execute": ["bbox_embed"]},
        "made": {"jittor_impl/detr/model.py:DETR.__init__": ["transformer"]},
        "callers": {},
    }
    learned["owners"]["jittor_impl/detr/model.py:DETR.__init__"] = ["(outside)"]
    assert is_right(a_mutant(), a_cause("bbox_embed"), learned)
    assert not is_right(a_mutant(), a_cause("class_embed"), learned)
    assert not is_right(a_mutant(), a_cause("bbox_embed.layers.0"), learned)
    constructing = a_mutant(function="DETR.__init__")
    assert is_right(constructing, a_cause("transformer.encoder"), learned)
    assert not is_right(constructing, a_cause("transformers"), learned)


def test_right_is_the_line_that_a_traceback_names():
    learned = {"owners": {}, "made": {}, "callers": {}}
    crash = a_cause("(run)", check="worker", summary="jittor_impl/detr/model.py, line 5")
    assert is_right(a_mutant(), crash, learned)
    assert not is_right(a_mutant(first=6, last=7), crash, learned)
    summary = "TypeError: MLP.__init__() missing 1 required positional argument"
    told = a_cause("(run)", check="worker", summary=summary)
    assert is_right(a_mutant(function="MLP"), told, learned)
    assert not is_right(a_mutant(function="DETR"), told, learned)
    summary = "backbone.body.conv1.weight: shape (3, 3), not (3, 2)"
    shape = a_cause("(run)", check="worker", summary=summary)
    made = {"jittor_impl/detr/model.py:MLP.execute": ["backbone.body.conv1"]}
    known = {"owners": {k: ["(outside)"] for k in made}, "made": made, "callers": {}}
    assert is_right(a_mutant(first=6, last=7), shape, known)


def test_what_an_error_mentions_is_no_place():
    """An option, a file: of weights and modules alone their names in it count."""
    file, function = "neutral/data/batching.py", "pad_targets"
    mutant = a_mutant_at(file, function, "boxes, labels = np.zeros(")
    learned = {"owners": {f"{file}:{function}": ["(outside)"]}, "made": {}, "callers": {}}
    text = "jittor raised InputError: data/train.json: no area; --set data.degenerate_boxes=drop"
    crash = a_cause("(outside) with_area", check="worker", summary=text)
    assert not is_right(mutant, crash, learned)
    assert is_right(mutant, a_cause("train0/boxes", check="data"), learned)


def test_of_functions_that_are_told_the_class_counts_where_it_is_told():
    mutant = a_mutant(function="Optimiser.__init__")
    names = {"Optimiser.__init__": True, "training.Optimiser.__init__": True, "__init__": True}
    for name, right in (names | {"AdamW.__init__": False, "MyOptimiser.__init__": False}).items():
        text = f"KeyError: 'average'\nit read what {name}() (training.py:34) gave"
        told = a_cause("(outside) Optimiser.step", check="worker", summary=text)
        assert is_right(mutant, told, NOTHING) == right, name
    inside = a_mutant(function="val_batches.make")
    text = "TypeError: val_batches.<locals>.make() takes 0 positional arguments"
    assert is_right(inside, a_cause("(run)", check="worker", summary=text), NOTHING)


def test_right_is_what_a_session_tells_as_empty():
    file, function = "jittor_impl/runtime.py", "compiler_version"
    mutant = a_mutant(file=file, function=function)
    learned = NOTHING | {"owners": {f"{file}:{function}": ["(outside)"]}}
    for key, right in (("compiler", True), ("version", False)):
        (node,) = told("describe", empty({key: "", "device_name": "cpu", "cudnn": None}))
        assert node == f"describe/{key} is empty"
        assert is_right(mutant, a_cause(node, check="session"), learned) == right


def test_right_is_the_part_that_a_constructors_statement_makes():
    lines = (ROOT / "torch_impl/detr/model.py").read_text().splitlines()
    line = next(k for k, x in enumerate(lines, 1) if "self.class_embed = " in x)
    changes = {"side": "torch", "file": "torch_impl/detr/model.py", "first": line, "last": line}
    mutant = a_mutant(function="DETR.__init__", **changes)
    function = f"{mutant.file}:DETR.__init__"
    learned = {"owners": {function: ["(outside)"]}, "made": {function: ["(model)"]}, "callers": {}}
    assert is_right(mutant, a_cause("class_embed"), learned)
    assert not is_right(mutant, a_cause("bbox_embed"), learned)
    learned["made"][function] = ["inner"]
    assert is_right(mutant, a_cause("inner"), learned)
    assert is_right(mutant, a_cause("inner.class_embed"), learned)
    assert not is_right(mutant, a_cause("inner.bbox_embed"), learned)


def test_a_source_of_a_kernel_is_right_where_that_kernel_runs():
    lines = (ROOT / "jittor_impl/kernel_sources.py").read_text().splitlines()
    line = next(k for k, x in enumerate(lines, 1) if x.startswith("NMS = "))
    mutant = a_mutant(file="jittor_impl/kernel_sources.py", function="", first=line, last=line)
    kernels = {"nms": ["rpn"], "RoiPool.execute": ["roi_heads.box_roi_pool"]}
    owners = {f"jittor_impl/kernels.py:{name}": places for name, places in kernels.items()}
    learned = {"owners": owners, "made": {}, "callers": {}}
    assert is_right(mutant, a_cause("rpn"), learned)
    assert not is_right(mutant, a_cause("roi_heads.box_roi_pool"), learned)


NOTHING = {"owners": {}, "made": {}, "callers": {}}


def test_right_is_what_is_made_of_the_variable_that_a_constructor_sets():
    file = "torch_impl/faster_rcnn/model.py"
    mutant = a_mutant_at(file, "FasterRCNN.__init__", " layer4 = ")
    function = f"{file}:FasterRCNN.__init__"
    learned = NOTHING | {"owners": {function: ["(outside)"]}, "made": {function: ["(model)"]}}
    shape = a_cause("roi_heads.box_predictor.cls_score.weight", check="weights: torch round trip")
    assert is_right(mutant, shape, learned)
    assert not is_right(mutant, a_cause("rpn.head"), learned)
    assert not is_right(mutant, a_cause("backbone.body"), learned)


def test_right_is_the_row_of_a_table_that_is_named():
    mutant = a_mutant_at("jittor_impl/kernel_table.py", "", '"mean"')
    assert is_right(mutant, a_cause("nanmean", check="worker"), NOTHING)
    assert not is_right(mutant, a_cause("nms", check="worker"), NOTHING)


def test_right_is_the_head_of_the_class_that_cannot_be_made():
    file = "neutral/data/coco.py"
    mutant = a_mutant_at(file, "CocoDataset", "cache: ImageCache")
    head = line_of(file, "class CocoDataset") - 1
    for line, right in ((head, True), (head + 40, False)):
        crash = a_cause(
            "(run)", check="worker", summary=f"TypeError\n{file}:{line}, in <module>: @"
        )
        assert is_right(mutant, crash, NOTHING) == right


def test_right_is_the_function_that_is_told_to_compute_a_loss():
    mutant = a_mutant(function="RoiHeads.losses")
    for text, right in (("RoiHeads.losses in roi_heads", True), ("losses in rpn", False)):
        summary = f"loss/x: reference and candidate: 1, 2; computed by {text}; 2 times"
        assert is_right(mutant, a_cause("loss/x", summary=summary), NOTHING) == right


def test_right_is_the_method_that_a_session_was_asked():
    mutant = a_mutant(file="jittor_impl/session.py", function="Session.train_batches")
    for node, right in (("train_batches, not finite/loss", True), ("train_step/0/loss", False)):
        assert is_right(mutant, a_cause(node, check="session"), NOTHING) == right


def test_what_ranks_alone_run_is_asked_of_ranks_alone():
    mutant = a_mutant(file="jittor_impl/group.py", function="Group.gradients")
    assert is_right(mutant, a_cause("fc.weight", check="ranks: gradients"), NOTHING)
    assert not is_right(mutant, a_cause("fc.weight", check="float64 gradients"), NOTHING)
    found = campaign.Campaign(None, all_checks(), None)
    learned = {side: {"lines": {}} for side in ("torch", "jittor")}
    found.learned = dict.fromkeys(found.checks, learned)
    found.seconds = dict.fromkeys(found.checks, 1.0)
    assert [c.name for c in found.checks_of([mutant])] == ["ranks"]
    assert found.checks_of([a_mutant()]) == []


def test_what_cuda_alone_compiles_is_asked_of_the_emulation_alone():
    mutants = bred("jittor_impl/kernel_sources.py", "jittor")
    found = campaign.Campaign(None, all_checks(), None)
    for operator, runs in (("cuda", False), ("kernel", True)):
        mutant = next(m for m in mutants if m.operator == operator)
        lines = {"lines": {mutant.file: list(range(mutant.first, mutant.last + 1))}}
        found.learned = {name: {"jittor": lines} for name in found.checks}
        found.seconds = dict.fromkeys(found.checks, 1.0)
        assert bool(found.checks_of([mutant])) == runs
        assert unit_tests.tests_of(mutant.module).count("tests/test_emulated_cuda.py") == 1


def test_right_is_the_choice_that_was_made_otherwise_before_what_differs():
    function = "neutral/randomness.py:Draws.keys"
    mutant = a_mutant(side="torch", file="neutral/randomness.py", function="Draws.keys")
    learned = NOTHING | {"owners": {function: ["(outside)"]}}
    where = "roi_heads.box_roi_pool/in[1]"
    for name, right in (("anchor_sample", True), ("proposals_kept", False)):
        summary = f"{where}: (8, 4) and (7, 4); before it {name} was chosen otherwise"
        assert is_right(mutant, a_cause(where, summary=summary), learned) == right
