"""For a node that fails, a script that shows the failure by itself: builds the model on both sides, calls the
one module with the reference's recorded arguments, and prints how far the results are apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

import numpy as np

from neutral.files import replacing
from parity.localise import call_of, culprits
from parity.verdicts import Verdict

MOST = 12  # scripts of one examination

SCRIPT = Template('''"""$title

Run in the project's root:  python $file
"""

import json
from pathlib import Path

import numpy as np

from parity.golden import golden_weights
from parity.workers import FRAMEWORKS, Worker

HERE = Path(__file__)
ARGUMENTS = json.loads('$arguments')  # positional, named; {"node": name} is an array of the .npz
found = {}
for side in FRAMEWORKS:
    worker = Worker(side)
    worker.call(*$build, "cpu", "float64")
    shapes = worker.call("shapes")
    worker.call("load", $weights)
    with np.load(HERE.with_suffix(".npz")) as arrays:
        found[side] = worker.call("call", "$module", ARGUMENTS, dict(arrays))
    worker.close()
for name, ours in found["torch"].items():
    theirs = found["jittor"].get(name)
    if theirs is None or theirs.shape != ours.shape:
        print(f"{name}: shape {ours.shape} in PyTorch, {getattr(theirs, 'shape', None)} in Jittor")
    else:
        size = np.linalg.norm(ours) or 1.0
        print(f"{name}: relative L2 {np.linalg.norm(ours - theirs) / size:.3g}")
''')


def write_scripts(
    case: str, reference: Mapping, verdicts: list[Verdict], origin: tuple[str, str], folder: Path
) -> dict[str, Path]:
    """One script, with its arrays beside it, for each module that a local check blames, by module.

    `origin`: the worker request that builds the model, and the expression for its weights, as source text.
    Code that runs in no module has no script.
    """
    written = {}
    for owner, failed in list(culprits(verdicts).items())[:MOST]:
        own = [v.node for v in failed if call_of(v.node) in reference["arguments"]]
        calls = [call_of(node) for node in own if call_of(node).partition("#")[0] == owner]
        call = calls[0] if calls else owner
        if call not in reference["arguments"]:
            continue
        name = re.sub(r"[^\w.-]+", "_", f"{case} {call}")
        written[owner] = folder / f"{name}.py"
        _write(written[owner], owner, call, reference, failed[0], origin)
    return written


def _write(
    path: Path, module: str, call: str, reference: Mapping, verdict: Verdict, origin: tuple
) -> None:
    arguments = reference["arguments"][call]
    arguments = json.loads(json.dumps(arguments, default=dict))
    arrays = {name: reference["nodes"][name] for name in _nodes(arguments)}
    gradients = reference.get("node_gradients", {})
    outputs = [n for n in reference["nodes"] if call_of(n) == call and "/in" not in n]
    for k, node in enumerate(outputs):
        if gradients.get(node) is not None:
            arrays[f"gradient of output {k}"] = gradients[node]
    with replacing(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, **arrays)
    text = SCRIPT.substitute(
        title=str(verdict).replace('"', "'").replace("\\", "/"),
        file=path.name,
        arguments=json.dumps(arguments).replace("\\", "\\\\").replace("'", "\\'"),
        build=origin[0],
        weights=origin[1],
        module=module,
    )
    with replacing(path) as temporary:
        temporary.write_text(text)


def _nodes(value) -> list[str]:
    if isinstance(value, dict):
        if value.keys() == {"node"}:
            return [value["node"]]
        value = list(value.values())
    return [n for item in value for n in _nodes(item)] if isinstance(value, list) else []
