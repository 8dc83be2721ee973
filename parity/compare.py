"""Compares traces of the two implementations and gives verdicts; see gates.py for the limits.

T and J are PyTorch's and Jittor's traces; 64 and 32 their precision. T64 is the reference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from scipy.optimize import linear_sum_assignment

from neutral.evaluation import Evaluation
from neutral.geometry import pairwise_iou
from parity import gates
from parity.floors import Floors
from parity.selection import Selection
from parity.verdicts import (
    Status,
    Verdict,
    absent_if_zero,
    judge,
    judge_equal,
    judge_gradient,
    judge_nodes,
    judge_precision,
    nothing_on_either_side,
    precision_gradient_floor,
    semantic_gradient_floor,
)


def compare_weights(case: str, given: Mapping, torch: Mapping, jittor: Mapping) -> list[Verdict]:
    """Bitwise equality of what was given, and what each side gives back."""
    return compare_state(case, "torch", given, torch) + compare_state(case, "jittor", given, jittor)


def compare_state(case: str, side: str, given: Mapping, state: Mapping) -> list[Verdict]:
    """Bitwise equality of what a side was given, and what it gives back."""
    check = f"weights: {side} round trip"
    return judge_nodes(case, check, given, state, partial(judge_equal, case, check))


def compare_names(case: str, torch: list[str], jittor: list[str]) -> Verdict:
    """The same trained parameters, by name, in the same order."""
    if not torch or torch != jittor:
        odd = sorted(set(torch) ^ set(jittor))
        message = (
            f"only one side trains {', '.join(odd[:3])}"
            if odd
            else "no trained parameters, or another order"
        )
        return Verdict(case, "trained parameters", "names", Status.FAIL, message=message)
    return Verdict(case, "trained parameters", "names", Status.PASS)


def flatten_losses(trace: Mapping) -> dict[str, np.ndarray]:
    """Loss components, logged errors, then the total, as float64 scalars; Jittor's have shape (1,)."""
    values = {f"loss/{k}": v for k, v in trace["losses"].items()}
    values |= {f"error/{k}": v for k, v in trace["errors"].items()} | {"loss/total": trace["total"]}
    return {k: np.asarray(v, dtype=np.float64).reshape(1) for k, v in values.items()}


def compare_losses(case: str, check: str, torch: dict, jittor: dict, limit: float) -> list[Verdict]:
    """Every component; one that is 0 on both sides proves nothing."""

    def judge_one(node, a, b):
        verdict = judge(case, check, node, b, a, limit)
        if verdict.status is Status.PASS and node.startswith("loss/") and not a.any():
            return verdict.but(status=Status.INCONCLUSIVE, message="0 on both sides")
        return verdict

    return judge_nodes(case, check, flatten_losses(torch), flatten_losses(jittor), judge_one)


def compare_matches(case: str, check: str, torch: dict, jittor: dict) -> list[Verdict]:
    """Hungarian matches of every decoder layer and image must be identical."""
    if len(torch["matches"]) != len(jittor["matches"]):
        return [
            Verdict(case, check, "matches", Status.FAIL, message="another number of decoder layers")
        ]
    verdicts = []
    for k, (ours, theirs) in enumerate(zip(torch["matches"], jittor["matches"], strict=True)):
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            different = not (np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]))
            message = f"queries {a[0].tolist()} and {b[0].tolist()}" if different else ""
            status = Status.FAIL if different else Status.PASS
            verdicts.append(
                Verdict(case, check, f"matches/layer{k}/image{i}", status, message=message)
            )
    return verdicts


def compare_semantics(case: str, t64: Mapping, j64: Mapping) -> list[Verdict]:
    """The semantic gate: every node, loss, match, detection and gradient in float64."""
    check = "float64 forward"

    def judge_node(node, a, b):
        return judge(case, check, node, b, a, gates.SEMANTIC_FORWARD)

    # in the order of execution: choices lie between the proposals and the regions that they lead to
    early, late = ([split_regions(t["nodes"])[k] for t in (t64, j64)] for k in (0, 1))
    verdicts = judge_nodes(case, check, *early, judge_node)
    if "decisions" in t64:
        ours, theirs = t64["decisions"], j64["decisions"]
        chosen = "float64 decisions"
        settled, sites = ([split_sites(t)[k] for t in (ours, theirs)] for k in (0, 1))
        both = [split(t, lambda name: bool(DETECTED.match(name))) for t in settled]
        settled, detected = ([two[k] for two in both] for k in (0, 1))
        if any(settled):
            verdicts += judge_nodes(case, chosen, *settled, partial(judge_equal, case, chosen))
        verdicts += judge_nodes(case, check, *late, judge_node) if any(late) else []
        for choices in (sites, detected):
            if any(choices):
                verdicts += judge_nodes(case, chosen, *choices, partial(judge_equal, case, chosen))
    if "matches" in t64:
        verdicts += compare_matches(case, "float64 matches", t64, j64)
    verdicts += compare_losses(case, "float64 losses", t64, j64, gates.LOSS_64)
    if "detections" in t64:
        verdicts += compare_detections(
            case, "float64 detections", t64["detections"], j64["detections"], gates.SEMANTIC_FORWARD
        )
    return verdicts + compare_backward_64(case, t64, j64)


def compare_backward_64(case: str, t64: Mapping, j64: Mapping) -> list[Verdict]:
    """The semantic gate's gradients, where they were asked for."""
    if "gradients" not in t64:
        return []
    # backward, the first node to diverge is the last one of the forward pass
    nodes = Selection(t64["node_gradients"], reversed(list(t64["node_gradients"])))
    check = "float64 node gradients"
    verdicts = compare_gradients_64(case, check, nodes, without_extra_inputs(t64, j64))
    return verdicts + compare_gradients_64(
        case, "float64 gradients", t64["gradients"], j64["gradients"]
    )


def without_extra_inputs(t64: Mapping, j64: Mapping) -> Selection:
    """Jittor's node gradients, but for arguments that are constants in PyTorch: Jittor does not know that they are."""
    ours, theirs = t64["node_gradients"], j64["node_gradients"]
    return Selection(theirs, [name for name in theirs if name in ours or "/in" not in name])


def split_regions(nodes: Mapping) -> tuple[Selection, Selection]:
    """Nodes of backbone and RPN, and those of the RoI heads."""
    return split(nodes, lambda name: name.startswith("roi_heads."))


def split(mapping: Mapping, belongs: Callable[[str], bool]) -> tuple[Selection, Selection]:
    """What does not belong, and what does."""
    parts = [name for name in mapping if not belongs(name)], list(filter(belongs, mapping))
    return tuple(Selection(mapping, names) for names in parts)


def split_sites(decisions: Mapping) -> tuple[Selection, Selection]:
    """What was settled by name, but for matches (compared in full elsewhere), and choices inside of layers."""
    named, sites = split(decisions, lambda name: bool(SITES.match(name)))
    return split(named, lambda name: name.startswith("matches/"))[0], sites


DETECTED = re.compile(r"detection_(candidates|order|kept)")  # what comes behind the RoI heads
SITES = re.compile(r"(relu|max_pool|roi_pool|max) in ")


def compare_gradients_64(case: str, check: str, torch: Mapping, jittor: Mapping) -> list[Verdict]:
    """Gradients by node or parameter, in the order of `torch`."""
    ours, theirs = absent_if_zero(torch), absent_if_zero(jittor)
    floor = semantic_gradient_floor(ours)

    def judge_one(node, a, b):
        return judge_gradient(case, check, node, b, a, gates.SEMANTIC_GRADIENT, floor)

    return judge_nodes(case, check, ours, theirs, judge_one)


def compare_precision(
    case: str, t64: Mapping, t32: Mapping, j32: Mapping, floors: Floors
) -> list[Verdict]:
    """The precision gate: both float32 sides against float64 PyTorch, node by node.

    Both float32 runs repeat the decisions of the float64 one, so nothing here differs because of another choice.
    """
    nodes = (t["nodes"] for t in (t64, t32, j32))
    made = summation_errors(t64)
    inherited, greatest = {}, 0.0
    for node in t64["nodes"]:
        inherited[node] = greatest = max(greatest, made.get(node, 0.0))
    errors: dict[str, float] = {}
    verdicts = compare_nodes_32(
        case, "float32 forward", *nodes, floors, "forward", inherited, errors
    )
    losses = [flatten_losses(t) for t in (t32, j32, t64)]
    loss_floor = max(gates.LOSS, gates.PRECISION_FACTOR * inherited_error(errors))

    def judge_loss(node, a, b):
        return judge_precision(
            case,
            "float32 losses",
            node,
            a,
            b,
            losses[2].get(node),
            gates.PRECISION_FACTOR,
            loss_floor,
        )

    verdicts += judge_nodes(case, "float32 losses", losses[0], losses[1], judge_loss)
    verdicts += compare_ledgers(case, errors, t32, j32)
    if "detections" in t64:
        verdicts += compare_detections_32(case, *(t["detections"] for t in (t64, t32, j32)))
    if "gradients" not in t32:
        return verdicts
    return verdicts + compare_gradients_32(
        case, "float32 gradients", *(t["gradients"] for t in (t64, t32, j32)), floors, "gradients"
    )


def compare_detections_32(case: str, exact: list, torch: list, jittor: list) -> list[Verdict]:
    """One to one; where PyTorch's own float32 detections miss its float64 ones too, nobody is to blame."""
    check = "float32 detections"
    own = match_detections(case, check, exact, torch)[0]
    return [
        v.but(status=Status.INCONCLUSIVE, message=f"{v.message}; of PyTorch's own {own.message}")
        if v.status is Status.FAIL and v.measured is not None and own.status is Status.FAIL
        else v
        for v in match_detections(case, check, torch, jittor)
    ]


def compare_nodes_32(
    case: str,
    check: str,
    exact: Mapping,
    torch: Mapping,
    jittor: Mapping,
    floors: Floors,
    section: str,
    summation: Mapping[str, float],
    errors: dict[str, float] | None = None,
) -> list[Verdict]:
    """Both float32 sides' nodes against float64 PyTorch's; `summation` as `summation_errors` has it.

    `errors` gets the greatest error of any value of each node, of the worse side, as a fraction of its greatest value.
    """

    def judge_one(node, a, b):
        prior = max(gates.PRECISION_FLOOR, summation.get(node, 0.0))
        least, least_max = floors.limits(section, node, (prior, gates.MAXIMUM_FLOOR))
        verdict = judge_precision(
            case,
            check,
            node,
            a,
            b,
            exact.get(node),
            gates.PRECISION_FACTOR,
            least,
            gates.MAXIMUM_FACTOR,
            least_max,
            greatest=errors,
        )
        return verdict.but(floor=floors.of(section, node))

    return judge_nodes(case, check, torch, jittor, judge_one)


def summation_errors(trace: Mapping) -> dict[str, float]:
    """The error to be expected of what a convolution or linear layer returns, were its sums one long chain each."""
    modules = trace.get("modules", {})
    return {
        node: gates.U32 * math.sqrt(terms / gates.SUMMATION_TERMS)
        for node in trace["nodes"]
        if "/in" not in node and (terms := count_terms(modules.get(node.partition("#")[0], {})))
    }


def count_terms(layer: Mapping) -> int:
    """How many products each output of a layer (see Tracer.describe) adds up; 0 when it is none that adds."""
    if "in_channels" in layer and "kernel_size" in layer:
        kernel = layer["kernel_size"]
        area = math.prod(kernel) if isinstance(kernel, (list, tuple)) else kernel**2
        return layer["in_channels"] // layer.get("groups", 1) * area
    return layer.get("in_features", 0)


def compare_gradients_32(
    case: str,
    check: str,
    reference: Mapping,
    torch: Mapping,
    jittor: Mapping,
    floors: Floors,
    section: str,
) -> list[Verdict]:
    """Both float32 sides' gradients, by node or parameter, against float64 PyTorch's."""
    ours, theirs, exact = (absent_if_zero(x) for x in (torch, jittor, reference))
    floor = precision_gradient_floor(exact)

    def judge_one(node, a, b):
        if a is None and b is None:
            return nothing_on_either_side(case, check, node, gates.GRADIENT_FLOOR)
        least, _ = floors.limits(section, node, (gates.GRADIENT_FLOOR,) * 2)
        verdict = judge_precision(
            case,
            check,
            node,
            a,
            b,
            exact.get(node),
            gates.GRADIENT_FACTOR,
            least,
            floor=floor,
        )
        return verdict.but(floor=floors.of(section, node))

    return judge_nodes(case, check, ours, theirs, judge_one)


HEADS = re.compile(r"(class_embed|bbox_embed|rpn\.head|roi_heads\.box_predictor)(\[\d\])?(#\d+)?$")


def inherited_error(errors: Mapping[str, float]) -> float:
    """Greatest float32 error of single head outputs, judged on their own: a loss of a few sampled regions
    cannot be more exact. `errors` are those of all nodes, see compare_nodes_32."""
    return max((error for node, error in errors.items() if HEADS.match(node)), default=0.0)


def compare_ledgers(
    case: str, errors: Mapping[str, float], t32: Mapping, j32: Mapping
) -> list[Verdict]:
    """Every choice of both float32 runs that is another than float64 PyTorch's: a tie, or within the noise, or FAIL.

    A side's regret at such a choice is how much its own evidence prefers the one that it made. Rounding
    explains a regret of no more than DECISION_FACTOR times the greatest of the nodes' `errors`.
    """
    check, verdicts = "float32 decisions", []
    noise = gates.DECISION_FACTOR * max(errors.values(), default=0.0)
    for side, trace in (("torch", t32), ("jittor", j32)):
        for name, entry in trace["ledger"].items():
            verdicts.append(judge_decision(case, check, f"{name} ({side})", entry, noise))
    if len(t32["ledger"]) != len(j32["ledger"]):
        message = "another number of decisions on either side"
        verdicts.append(Verdict(case, check, "(all)", Status.FAIL, message=message))
    return verdicts


def judge_decision(case: str, check: str, node: str, entry: Mapping, noise: float) -> Verdict:
    """One entry of a ledger (see decisions.py of the implementations)."""
    different, ties, regret = entry["different"], entry["ties"], entry["regret"]
    if not different:
        return Verdict(case, check, node, Status.PASS, 0.0, noise)
    message = f"{different} of {entry['choices']} chosen otherwise, {ties} of them ties"
    if regret is None:
        return Verdict(case, check, node, Status.FAIL, message=f"{message}; nothing explains it")
    explained = regret <= noise
    message += "" if explained else ": unexplained, more than the noise of the evidence"
    status = Status.PASS if explained else Status.FAIL
    return Verdict(case, check, node, status, regret, noise, message)


def compare_detections(
    case: str, check: str, torch: list, jittor: list, limit: float
) -> list[Verdict]:
    """One by one: labels identical, scores and boxes within `limit`; an image may have none on both sides."""
    if len(torch) != len(jittor) or not torch:
        return [
            Verdict(
                case, check, "images", Status.FAIL, message=f"{len(torch)} and {len(jittor)} images"
            )
        ]
    verdicts = []
    for i, (a, b) in enumerate(zip(torch, jittor, strict=True)):
        if len(a["scores"]) == len(b["scores"]) == 0:
            continue
        verdicts += judge_nodes(
            case, check, a, b, lambda n, x, y, i=i: judge(case, check, f"image{i}/{n}", y, x, limit)
        )
    return verdicts or [nothing_detected(case, check)]


def nothing_detected(case: str, check: str) -> Verdict:
    return Verdict(
        case, check, "detections", Status.FAIL, message="nothing to compare: no detections"
    )


def partners(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `a` and of `b` (scores, labels, boxes) that are the same detection, one to one."""
    if len(a["scores"]) == 0 or len(b["scores"]) == 0:
        return np.zeros(0, int), np.zeros(0, int)
    fits = (
        pairwise_iou(a["boxes"].astype(float), b["boxes"].astype(float))[0] >= gates.DETECTION_IOU
    )
    fits &= a["labels"][:, None] == b["labels"][None]
    fits &= np.abs(a["scores"][:, None].astype(float) - b["scores"][None]) <= gates.DETECTION_SCORE
    rows, columns = linear_sum_assignment(~fits)
    kept = fits[rows, columns]
    return rows[kept], columns[kept]


def match_detections(case: str, check: str, torch: list, jittor: list) -> list[Verdict]:
    """One-to-one matching per image: same label, IoU >= 0.99, score within 1e-4; 99.9 % must have a partner."""
    if len(torch) != len(jittor) or not torch:
        return [
            Verdict(
                case, check, "images", Status.FAIL, message=f"{len(torch)} and {len(jittor)} images"
            )
        ]
    total = matched = 0
    for a, b in zip(torch, jittor, strict=True):
        total += max(len(a["scores"]), len(b["scores"]))
        matched += len(partners(a, b)[0])
    if total == 0:
        return [nothing_detected(case, check)]
    missing = 1 - matched / total
    status = Status.PASS if missing <= 1 - gates.DETECTIONS_MATCHED else Status.FAIL
    message = f"{matched} of {total} detections have a partner"
    return [Verdict(case, check, "matched", status, missing, 1 - gates.DETECTIONS_MATCHED, message)]


def compare_ap(case: str, torch: Evaluation, jittor: Evaluation) -> list[Verdict]:
    """AP, AP50 and AP75 of the same weights; an AP near 0 on both sides proves nothing."""
    check, verdicts = "AP of the same weights", []
    for name in ("AP", "AP50", "AP75"):
        gap = abs(torch[name] - jittor[name])
        status = Status.PASS if gap <= gates.AP_MARGIN else Status.FAIL
        message = f"{torch[name]:.4f} and {jittor[name]:.4f}"
        if status is Status.PASS and max(torch[name], jittor[name]) < gates.AP_MEANINGFUL:
            status, message = Status.INCONCLUSIVE, f"{message}: too low to tell anything"
        verdicts.append(Verdict(case, check, name, status, gap, gates.AP_MARGIN, message))
    return verdicts


def first_divergence(verdicts: list[Verdict]) -> Verdict | None:
    """The first FAIL in the order in which things are computed: forward, losses, then backward."""
    return next((v for v in verdicts if v.status is Status.FAIL), None)
