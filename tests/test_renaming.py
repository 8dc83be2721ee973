"""Names that a port has otherwise: explained by a few rules, written as code that does what the rules do."""

from __future__ import annotations

import re

import pytest

from parity.engine.values.parts import wholes_of
from parity.engine.values.proposing import Parameter, propose
from parity.engine.values.renaming import renaming

LEAVES = {"conv": ("weight",), "bn": ("weight", "bias", "running_mean", "running_var")}


def residual_network() -> list[Parameter]:
    """Names and shapes as torchvision's ResNet-50 has them."""
    found: list[Parameter] = []

    def add(name: str, shape: tuple[int, ...]) -> None:
        kind = "conv" if len(shape) == 4 else "bn"
        for leaf in LEAVES[kind]:
            found.append(Parameter(f"{name}.{leaf}", shape, kind, len(found)))

    add("conv1", (64, 3, 7, 7))
    add("bn1", (64,))
    wide = 64
    for stage, (blocks, narrow) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for block in range(blocks):
            head = f"layer{stage}.{block}"
            sizes = ((narrow, wide, 1, 1), (narrow, narrow, 3, 3), (4 * narrow, narrow, 1, 1))
            for k, shape in enumerate(sizes, 1):
                add(f"{head}.conv{k}", shape)
                add(f"{head}.bn{k}", shape[:1])
            if not block:
                add(f"{head}.downsample.0", (4 * narrow, wide, 1, 1))
                add(f"{head}.downsample.1", (4 * narrow,))
            wide = 4 * narrow
    found.append(Parameter("fc.weight", (1000, 2048), "Linear", len(found)))
    found.append(Parameter("fc.bias", (1000,), "Linear", len(found)))
    return found


RESNET = residual_network()


def renamed(parameters: list[Parameter], rename) -> list[Parameter]:
    return [Parameter(rename(p.name), p.shape, p.kind, p.place) for p in parameters]


def run(code: str) -> dict:
    names: dict = {}
    exec(code, names)
    return names


PORTS = {
    "prefix more": (lambda n: f"backbone.body.{n}", 'name.removeprefix("backbone.body.")'),
    "prefix less": (lambda n: n.removeprefix("layer1."), None),
    "stages from 0": (
        lambda n: re.sub(r"layer(\d)", lambda m: f"layers.{int(m[1]) - 1}", n),
        "int(m[1]) + 1",
    ),
    "other words": (
        lambda n: (
            re.sub(r"\bbn(\d)", r"norm_\1", n)
            .replace("downsample", "shortcut")
            .replace("fc", "head.fc")
        ),
        'name.replace("shortcut", "downsample")',
    ),
    "one index": (lambda n: n.replace("fc.", "classifier.2."), '"fc"'),
    "leaves": (
        lambda n: re.sub(r"(bn\d|downsample\.1)\.weight", r"\1.gamma", n),
        '"weight"',
    ),
}


@pytest.mark.parametrize("port", PORTS)
def test_a_few_rules_explain_all_names_of_a_network(port):
    rename, text = PORTS[port]
    found = propose(RESNET, renamed(RESNET, rename))
    right = {rename(p.name): p.name for p in RESNET}
    if port != "prefix less":  # where two modules have one shape, nobody could know
        assert found.renamed() == right
    assert not found.only_reference and not found.only_candidate
    code = found.as_code()
    assert len(code.splitlines()) <= 12, code
    assert text is None or text in code
    own = run(code)["jittor_name"]
    assert all(own(name) == other for name, other in found.renamed().items())


def test_names_that_agree_need_no_code():
    assert propose(RESNET, RESNET).as_code() == ""


def test_what_no_rule_explains_is_a_table_of_modules():
    words = [f"{a}{b}" for a in "abcdefgh" for b in "mnop"]
    pairs = {f"{a}.{leaf}": f"{b}.{leaf}" for a, b in zip(words, reversed(words)) for leaf in "wb"}
    found = renaming(pairs)
    assert all(found(own) == other for own, other in pairs.items())
    own = run("\n".join(["import re", *found.as_code(list(pairs))]))["jittor_name"]
    assert all(own(name) == other for name, other in pairs.items())
    assert len(found.table) <= len(words)


def attention(prefix: str, joined: bool, bias: bool = True) -> list[Parameter]:
    sizes = {"weight": (8, 8)} | ({"bias": (8,)} if bias else {})
    found = []
    for leaf, shape in sizes.items():
        if joined:
            found.append((f"in_proj_{leaf}", (24, *shape[1:])))
        found += [(f"{c}_proj.{leaf}", shape) for c in ("" if joined else "kqv")]
        found.append((f"out_proj.{leaf}", shape))
    return [Parameter(f"{prefix}.{n}", s, "Attention", k) for k, (n, s) in enumerate(found)]


LAYERS = [f"layers.{k}.attn" for k in range(3)]


@pytest.mark.parametrize("reference_joined", [True, False])
def test_one_array_that_is_several_on_the_other_side(reference_joined):
    first, second = (
        [
            Parameter(p.name, p.shape, p.kind, k)
            for k, p in enumerate(x for head in heads for x in attention(head, joined))
        ]
        for heads, joined in (
            (LAYERS, reference_joined),
            ([f"encoder.{x}" for x in LAYERS], not reference_joined),
        )
    )
    found = propose(first, second)
    assert not found.only_reference and not found.only_candidate
    own = run(found.as_code())
    assert own["SPLIT"] == {
        f"*.in_proj_{leaf}": tuple(f"*.{c}_proj.{leaf}" for c in "qkv")
        for leaf in ("weight", "bias")
    }
    names = {own["jittor_name"](p.name): p.name for p in second}
    having = names if reference_joined else {p.name: p.name for p in first}
    wholes = wholes_of(own["SPLIT"], having)
    assert wholes["layers.2.attn.in_proj_weight"] == tuple(
        f"layers.2.attn.{c}_proj.weight" for c in "qkv"
    )
    assert len(wholes) == 6
    assert found.told(("torch", "jittor"))[-1] == "0 names agree, 6 proposed, by 1 rule, 6 in parts"


def test_turned_arrays_are_one_line():
    first = [Parameter(f"blocks.{k}.mlp.weight", (4, 6), "Linear", k) for k in range(4)]
    first += [Parameter("head.weight", (3, 5), "Linear", 4)]
    second = [Parameter(p.name, p.shape[::-1], p.kind, p.place) for p in first[:4]] + first[4:]
    code = propose(first, second).as_code()
    assert '"*.mlp.weight": transposed(1, 0)' in code and "head" not in code
    assert "from parity import transposed" in code and len(run(code)["LAYOUT"]) == 1
