"""Compares traces of the two implementations and gives verdicts; see gates.py for the limits.

T and J are PyTorch's and Jittor's traces; 64 and 32 their precision. T64 is the reference.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax

from neutral.config import Config, MatcherConfig
from neutral.data.batching import Batch
from neutral.data.coco import Target
from neutral.evaluation import Evaluation
from neutral.geometry import cxcywh_to_xyxy, pairwise_giou, pairwise_iou
from parity import gates
from parity.verdicts import (
    Status,
    Verdict,
    absent_if_zero,
    judge,
    judge_equal,
    judge_gradient,
    judge_nodes,
    judge_precision,
    precision_gradient_floor,
    relative_max,
    semantic_gradient_floor,
    total_norm,
)


def compare_weights(case: str, given: dict, torch: dict, jittor: dict) -> list[Verdict]:
    """Bitwise equality of what was given, and what each side gives back."""
    verdicts = []
    for side, state in (("torch", torch), ("jittor", jittor)):
        check = f"weights: {side} round trip"
        verdicts += judge_nodes(case, check, given, state, partial(judge_equal, case, check))
    return verdicts


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


def flatten_losses(trace: dict) -> dict[str, np.ndarray]:
    """Loss components, logged errors, then the total, as float64 scalars; Jittor's have shape (1,)."""
    values = {f"loss/{k}": v for k, v in trace["losses"].items()}
    values |= {f"error/{k}": v for k, v in trace["errors"].items()} | {"loss/total": trace["total"]}
    return {k: np.asarray(v, dtype=np.float64).reshape(1) for k, v in values.items()}


def compare_losses(case: str, check: str, torch: dict, jittor: dict, limit: float) -> list[Verdict]:
    """Every component; one that is 0 on both sides proves nothing."""

    def judge_one(node, a, b):
        verdict = judge(case, check, node, b, a, limit)
        if verdict.status is Status.PASS and node.startswith("loss/") and not a.any():
            return replace(verdict, status=Status.INCONCLUSIVE, message="0 on both sides")
        return verdict

    return judge_nodes(case, check, flatten_losses(torch), flatten_losses(jittor), judge_one)


def match_cost(
    logits: np.ndarray, boxes: np.ndarray, target: Target, matcher: MatcherConfig
) -> np.ndarray:
    """The matcher's cost [Q, T] in NumPy float64, from one image's outputs."""
    logits, boxes = logits.astype(np.float64), boxes.astype(np.float64)
    goal = target.boxes.astype(np.float64)
    distance = np.abs(boxes[:, None] - goal[None]).sum(axis=2)
    overlap = pairwise_giou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(goal))
    probability = softmax(logits, axis=1)[:, target.labels]
    return (
        matcher.cost_bbox * distance
        - matcher.cost_class * probability
        - matcher.cost_giou * overlap
    )


def compare_matches_32(
    case: str, traces: tuple[dict, dict, dict], batch: Batch, matcher: MatcherConfig
) -> list[Verdict]:
    """Float32 matches: identical, or tied within the noise that the costs were measured to have.

    `traces` are float64 PyTorch, float32 PyTorch, float32 Jittor. A mismatch is explained when the
    two assignments' costs, in float64, differ by less than the greatest error that a float32 cost
    shows, times the number of pairs.
    """
    check, verdicts = "float32 matches", []
    sides = traces[1:]
    for verdict in compare_matches(case, check, *sides):
        if verdict.status is Status.PASS or not verdict.node.startswith("matches/"):
            verdicts.append(verdict)
            continue
        k, i = (
            int("".join(c for c in part if c.isdigit())) for part in verdict.node.split("/")[1:]
        )
        exact, *rounded = (
            match_cost(t["outputs"][k][0][i], t["outputs"][k][1][i], batch.targets[i], matcher)
            for t in traces
        )
        noise = max(float(np.abs(r - exact).max()) for r in rounded) * exact.shape[1]
        costs = [float(exact[t["matches"][k][i]].sum()) for t in sides]
        gap = abs(costs[0] - costs[1])
        status = Status.PASS if gap <= noise else Status.FAIL
        message = (
            "another match, tied within the noise of the costs"
            if gap <= noise
            else f"another match: {verdict.message}"
        )
        verdicts.append(Verdict(case, check, verdict.node, status, gap, noise, message))
    return verdicts


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


def compare_semantics(case: str, t64: dict, j64: dict) -> list[Verdict]:
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
        verdicts += judge_nodes(case, chosen, ours, theirs, partial(judge_equal, case, chosen))
        verdicts += judge_nodes(case, check, *late, judge_node) if any(late) else []
    if "matches" in t64:
        verdicts += compare_matches(case, "float64 matches", t64, j64)
    verdicts += compare_losses(case, "float64 losses", t64, j64, gates.LOSS_64)
    verdicts += compare_detections(
        case, "float64 detections", t64["detections"], j64["detections"], gates.SEMANTIC_FORWARD
    )
    if "gradients" in t64:
        # backward, the first node to diverge is the last one of the forward pass
        nodes = dict(reversed(t64["node_gradients"].items()))
        check = "float64 node gradients"
        verdicts += compare_gradients_64(case, check, nodes, j64["node_gradients"])
        verdicts += compare_gradients_64(
            case, "float64 gradients", t64["gradients"], j64["gradients"]
        )
    return verdicts


def split_regions(nodes: dict) -> tuple[dict, dict]:
    """Nodes of backbone and RPN, and those of the RoI heads."""
    late = {name: x for name, x in nodes.items() if name.startswith("roi_heads.")}
    return {name: x for name, x in nodes.items() if name not in late}, late


def compare_gradients_64(case: str, check: str, torch: dict, jittor: dict) -> list[Verdict]:
    """Gradients by node or parameter, in the order of `torch`."""
    ours, theirs = absent_if_zero(torch), absent_if_zero(jittor)
    floor = semantic_gradient_floor(ours)

    def judge_one(node, a, b):
        return judge_gradient(case, check, node, b, a, gates.SEMANTIC_GRADIENT, floor)

    return judge_nodes(case, check, ours, theirs, judge_one)


def compare_decisions_32(case: str, torch: dict, jittor: dict) -> list[Verdict]:
    """Each side's own float32 choices: identical, or INCONCLUSIVE with the number that differs.

    Both runs went on from the reference's choices, so nothing that follows is affected.
    """
    check = "float32 decisions"

    def judge_one(node, a, b):
        verdict = judge_equal(case, check, node, a, b)
        if verdict.status is not Status.FAIL or verdict.measured is None:
            return verdict
        return replace(verdict, status=Status.INCONCLUSIVE)

    return judge_nodes(case, check, torch["decisions"], jittor["decisions"], judge_one)


def compare_precision(
    case: str, t64: dict, t32: dict, j32: dict, matches: list[Verdict] = ()
) -> list[Verdict]:
    """The precision gate: both float32 sides against float64 PyTorch, node by node.

    `matches` are the verdicts on DETR's matches, which are not replayed: behind another match losses and
    gradients differ for a reason.
    """
    check = "float32 forward"
    verdicts = judge_nodes(
        case,
        check,
        t32["nodes"],
        j32["nodes"],
        lambda n, a, b: judge_precision(
            case,
            check,
            n,
            a,
            b,
            t64["nodes"].get(n),
            gates.PRECISION_FACTOR,
            gates.PRECISION_FLOOR,
            gates.MAXIMUM_FACTOR,
            gates.MAXIMUM_FLOOR,
        ),
    )
    other_match = sum(bool(v.message) for v in matches)
    losses = [flatten_losses(t) for t in (t32, j32, t64)]
    loss_floor = max(gates.LOSS, gates.PRECISION_FACTOR * inherited_error(t64, t32, j32))

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

    verdicts += _excused(
        judge_nodes(case, "float32 losses", losses[0], losses[1], judge_loss), other_match
    )
    verdicts += matches
    if "decisions" in t32:
        verdicts += compare_decisions_32(case, t32, j32)
    check, found = "float32 detections", t32["detections"]
    own = match_detections(case, check, t64["detections"], found)
    verdicts += [
        replace(
            v, status=Status.INCONCLUSIVE, message=f"{v.message}; of PyTorch's own {own[0].message}"
        )
        if v.status is Status.FAIL and v.measured is not None and own[0].status is Status.FAIL
        else v
        for v in match_detections(case, check, found, j32["detections"])
    ]
    if "gradients" not in t32:
        return verdicts
    check = "float32 gradients"
    ours, theirs, reference = (absent_if_zero(t["gradients"]) for t in (t32, j32, t64))
    floor = precision_gradient_floor(reference)

    def judge_one(node, a, b):
        if a is None and b is None:
            return Verdict(
                case,
                check,
                node,
                Status.PASS,
                0.0,
                gates.GRADIENT_FLOOR,
                "no gradient on either side",
            )
        return judge_precision(
            case,
            check,
            node,
            a,
            b,
            reference.get(node),
            gates.GRADIENT_FACTOR,
            gates.GRADIENT_FLOOR,
            floor=floor,
        )

    gradients = judge_nodes(case, check, ours, theirs, judge_one)
    return verdicts + _excused(gradients, count_flips(t32, j32) + other_match)


HEADS = re.compile(r"(class_embed|bbox_embed|rpn\.head|roi_heads\.box_predictor)(\[\d\])?(#\d+)?$")


def inherited_error(t64: dict, *sides: dict) -> float:
    """Greatest float32 error of single head outputs, judged on their own: a loss of a few sampled regions
    cannot be more exact."""
    errors = [
        relative_max(values, t64["nodes"][node])
        for side in sides
        for node, values in side["nodes"].items()
        if HEADS.match(node) and node in t64["nodes"] and values.shape == t64["nodes"][node].shape
    ]
    return max(errors, default=0.0)


def _excused(verdicts: list[Verdict], flips: int) -> list[Verdict]:
    """Behind a flipped decision numbers differ for a reason that is no defect: FAIL becomes INCONCLUSIVE."""
    if not flips:
        return verdicts
    return [
        replace(v, status=Status.INCONCLUSIVE, message=f"{flips} decisions flipped; {v.message}")
        if v.status is Status.FAIL and v.measured is not None
        else v
        for v in verdicts
    ]


# nodes whose sign the next ReLU looks at, and residual blocks, whose output is positive where their ReLU was open
RELU_INPUTS = re.compile(
    r".*(\.bn1|\.bn2|\.linear1|\.features\.\d+|rpn\.head\.conv|\.fc[67]|\.layer\d\.\d+)(#\d+)?$"
)

# nodes that, after a ReLU, are max-pooled: kernel, stride and padding of the stem's and of VGG16's pools
POOL_INPUTS = (
    (re.compile(r".*\.body\.bn1$"), 3, 2, 1),
    (re.compile(r".*features\.(2|7|14|21)$"), 2, 2, 0),
)


def pool_choices(x: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    """Which of its cells each window of a max-pool over relu(x) takes; all zero counts as the first."""
    edges = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(np.maximum(x, 0), edges, constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    choices = windows.reshape(*windows.shape[:4], -1).argmax(axis=4)
    return np.where(windows.max(axis=(4, 5)) > 0, choices, 0)


def count_flips(torch: dict, jittor: dict) -> int:
    """How many ReLUs, max-pools and RoIPool bins chose otherwise on the other side."""
    flips = 0
    for node, a in torch["nodes"].items():
        b = jittor["nodes"].get(node)
        if b is None or a.shape != b.shape:
            continue
        if RELU_INPUTS.match(node):
            flips += int(((a > 0) != (b > 0)).sum())
        for pattern, *window in POOL_INPUTS:
            if pattern.match(node):
                flips += int((pool_choices(a, *window) != pool_choices(b, *window)).sum())
    for name, a in torch.get("decisions", {}).items():
        b = jittor["decisions"].get(name)
        if name.startswith("cells") and b is not None and a.shape == b.shape:
            flips += int((a != b).sum())
    return flips


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
        if len(a["scores"]) == 0 or len(b["scores"]) == 0:
            continue
        fits = (
            pairwise_iou(a["boxes"].astype(float), b["boxes"].astype(float))[0]
            >= gates.DETECTION_IOU
        )
        fits &= a["labels"][:, None] == b["labels"][None]
        fits &= (
            np.abs(a["scores"][:, None].astype(float) - b["scores"][None]) <= gates.DETECTION_SCORE
        )
        rows, columns = linear_sum_assignment(~fits)
        matched += int(fits[rows, columns].sum())
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


def drop_epochs(config: Config) -> tuple[int, ...]:
    """Epochs of coupled steps: two before the first drop of the learning rate, two after it."""
    drop = (config.optimiser.lr_milestones or (config.optimiser.lr_drop,))[0]
    return (0, 0, drop, drop)


def compare_steps(case: str, torch: tuple, jittor: tuple) -> list[Verdict]:
    """Coupled float64 training steps: (weights at the start, trained names, losses per step, state at the end)."""
    weights, names, losses_t, state_t = torch
    _, names_j, losses_j, state_j = jittor
    verdicts = [compare_names(case, names, names_j)]
    check = "float64 losses"
    for step, (a, b) in enumerate(zip(losses_t, losses_j, strict=True)):
        boxed = [{k: np.array([v]) for k, v in losses.items()} for losses in (a, b)]

        def judge_loss(node, x, y, step=step):
            return judge(case, check, f"step{step}/{node}", y, x, gates.STEPS_LOSS)

        verdicts += judge_nodes(case, check, *boxed, judge_loss)
    moved = [{k: s[k] - weights[k] for k in names} for s in (state_t, state_j)]
    floor = gates.EPS64 / gates.STEPS_STATE * total_norm({k: state_t[k] for k in names})

    def judge_moved(node, a, b):
        return judge(case, "float64 displacement", node, b, a, gates.STEPS_STATE, floor)

    return verdicts + judge_nodes(case, "float64 displacement", *moved, judge_moved)


def first_divergence(verdicts: list[Verdict]) -> Verdict | None:
    """The first FAIL in the order in which things are computed: forward, losses, then backward."""
    return next((v for v in verdicts if v.status is Status.FAIL), None)
