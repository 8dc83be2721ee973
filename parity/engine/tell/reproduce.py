"""For a node that fails, a script that shows the failure by itself: builds the model on both sides, calls the
one module with the reference's recorded arguments, and prints how far the results are apart.

Before: judge/localise.py (culprits). ask/examination.py asks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

import numpy as np

from door.files import replacing
from parity.case import DRAWN, Case
from parity.engine.judge.localise import culprits
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.judge.weights import drawn_weights
from parity.engine.values.nodes import ROOT, call_of

MOST = 12  # scripts of one examination

SCRIPT = Template('''"""$title

Run it where `import parity` works:  python $file
"""

import json
from pathlib import Path, PosixPath  # noqa: F401 (a side may name folders)

import numpy as np

from parity.case import Side
from parity.engine.sides.workers import Worker

HERE = Path(__file__)
SIDES = {
    "$first": $reference,
    "$second": $candidate,
}
ARGUMENTS = json.loads('$arguments')  # positional, named; {"node": name} is an array of the .npz
with np.load(HERE.with_suffix(".npz")) as file:
    ARRAYS = dict(file)
found = {}
for label, side in SIDES.items():
    worker = Worker(side)
    worker.call("build", side, "cpu", "float64", $training)
    weights = $weights
    worker.call("load", weights, strict=False)
    found[label] = worker.call("call", "$module", ARGUMENTS, ARRAYS)
    worker.close()
for name, ours in found["$first"].items():
    theirs = found["$second"].get(name)
    if theirs is None or theirs.shape != ours.shape:
        print(f"{name}: shape {ours.shape} in $first, {getattr(theirs, 'shape', None)} in $second")
    else:
        size = np.linalg.norm(ours) or 1.0
        print(f"{name}: relative L2 {np.linalg.norm(ours - theirs) / size:.3g}")
''')
MADE = 'worker.call("call_target", {!r}, worker.call("shapes"))'
STORED = '{n.removeprefix("weights/"): x for n, x in ARRAYS.items() if n.startswith("weights/")}'


def with_scripts(case: Case, reference: Mapping, verdicts: list, weights, folder: Path) -> list:
    """What fails in a module gets the script that reproduces it."""
    paths = write_scripts(case, reference, verdicts, weights, folder)
    return [
        v.but(script=paths[v.owner].name) if v.status is Status.FAIL and v.owner in paths else v
        for v in verdicts
    ]


def write_scripts(
    case: Case,
    reference: Mapping,
    verdicts: list[Verdict],
    weights: Mapping[str, np.ndarray],
    folder: Path,
) -> dict[str, Path]:
    """One script, with its arrays beside it, for each module that a local check blames, by module.

    Code that runs in no module has no script, nor has a module whose arguments are no plain trees.
    """
    written = {}
    for owner, failed in list(culprits(verdicts).items())[:MOST]:
        own = [v.node for v in failed if call_of(v.node) in reference["arguments"]]
        calls = [call_of(node) for node in own if call_of(node).partition("#")[0] == owner]
        call = calls[0] if calls else owner
        if call not in reference["arguments"]:
            continue
        arguments = json.loads(json.dumps(reference["arguments"][call], default=dict))
        if _has_objects(arguments):
            continue
        name = re.sub(r"[^\w.-]+", "_", f"{case.name} {call}")
        written[owner] = folder / f"{name}.py"
        arrays = _arrays(reference, call, arguments)
        below = "" if owner == ROOT else f"{owner}."
        given = {n: x for n, x in weights.items() if n.startswith(below)}
        arrays |= {f"weights/{n}": x for n, x in given.items() if not is_made_again(case, n, x)}
        with replacing(written[owner].with_suffix(".npz")) as temporary:
            np.savez_compressed(temporary, **arrays)
        _write(written[owner], case, owner, arguments, failed[0])
    return written


def is_made_again(case: Case, name: str, values: np.ndarray) -> bool:
    """Whether the script makes this weight itself, as a target does, and tables are not."""
    if case.weights != DRAWN:
        return isinstance(case.weights, str)
    return np.array_equal(values, drawn_weights({name: values.shape})[name])


def _arrays(reference: Mapping, call: str, arguments: list) -> dict[str, np.ndarray]:
    """Arguments by node, and the gradients of the call's outputs."""
    arrays = {name: reference["nodes"][name] for name in _nodes(arguments)}
    gradients = reference.get("node_gradients", {})
    outputs = [n for n in reference["nodes"] if call_of(n) == call and "/in" not in n]
    for k, node in enumerate(outputs):
        if gradients.get(node) is not None:
            arrays[f"gradient of output {k}"] = gradients[node]
    return arrays


def _write(path: Path, case: Case, module: str, arguments: list, verdict: Verdict) -> None:
    first, second = case.labels
    made = MADE.format(case.weights) if isinstance(case.weights, str) else "{}"
    text = SCRIPT.substitute(
        title=str(verdict).replace('"', "'").replace("\\", "/"),
        file=path.name,
        first=first,
        second=second,
        reference=repr(case.reference),
        candidate=repr(case.candidate),
        training=case.training,
        arguments=json.dumps(arguments).replace("\\", "\\\\").replace("'", "\\'"),
        weights=f"{made} | {STORED}",
        module=module,
    )
    with replacing(path) as temporary:
        temporary.write_text(text)


def _has_objects(value) -> bool:
    if isinstance(value, dict):
        return any(map(_has_objects, value.values()))
    if isinstance(value, list):
        return any(map(_has_objects, value))
    return isinstance(value, str) and value.startswith("(") and value.endswith(")")


def _nodes(value) -> list[str]:
    if isinstance(value, dict):
        if value.keys() == {"node"}:
            return [value["node"]]
        value = list(value.values())
    return [n for item in value for n in _nodes(item)] if isinstance(value, list) else []
