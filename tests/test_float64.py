"""Jittor's products and convolutions of float64 (jittor_setup/float64.py) against exact ones: results, all gradients.

And its products of many matrices of float32, against those of float64.

Jittor runs in a process of its own, all cases at once, with one thread and again with two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from door.randomness import stream
from tests import extended

torch = pytest.importorskip("torch")
functional = torch.nn.functional

LIMIT = 1e-15  # relative L2: nine units of rounding, for sums of up to ten thousand products
SUMS = 1e-16  # a bias's gradient, a sum of both signs, to the same sum of magnitudes
SINGLE = 2e-7  # of float32: four units of rounding, for sums of a few hundred products
THEIRS = {
    "conv2d": functional.conv2d,
    "conv_transpose": functional.conv_transpose2d,
    "matmul": torch.matmul,
    "linear": functional.linear,
}


def convolution(x, weight, bias=True, **options):
    return "conv2d", [x, weight, *([[weight[0]]] if bias else [])], options


def transposed(x, weight, **options):
    return "conv_transpose", [x, weight, [weight[1]]], options


CASES = {
    "3x3": convolution([2, 6, 11, 9], [8, 6, 3, 3]),
    "3x3, padded": convolution([2, 6, 11, 9], [8, 6, 3, 3], padding=1),
    "1x1": convolution([3, 33, 7, 5], [20, 33, 1, 1], bias=False),
    "1x1, stride 2": convolution([2, 16, 9, 8], [25, 16, 1, 1], stride=2),
    "1x1, padded": convolution([2, 5, 6, 7], [4, 5, 1, 1], padding=1),
    "7x7, stride 2": convolution([2, 3, 31, 40], [16, 3, 7, 7], stride=2, padding=3),
    "stride above the kernel": convolution([2, 4, 11, 12], [5, 4, 2, 2], stride=3),
    "rectangular": convolution([2, 4, 9, 14], [6, 4, 2, 5], stride=(2, 1), padding=(0, 2)),
    "dilated": convolution([2, 4, 13, 12], [6, 4, 3, 3], padding=2, dilation=2),
    "dilated unevenly": convolution(
        [1, 4, 13, 12], [6, 4, 3, 2], stride=(3, 2), padding=(1, 4), dilation=(2, 5)
    ),
    "groups": convolution([2, 6, 9, 9], [12, 2, 3, 3], stride=2, padding=1, groups=3),
    "depthwise": convolution([2, 40, 12, 9], [40, 1, 3, 3], bias=False, padding=1, groups=40),
    "depthwise, two each": convolution([1, 5, 8, 9], [10, 1, 3, 3], stride=2, groups=5),
    "kernel as large as the map": convolution([2, 3, 5, 4], [6, 3, 5, 4]),
    "padding beyond the kernel": convolution([1, 2, 3, 3], [2, 2, 2, 2], padding=4),
    "one of everything": convolution([1, 1, 1, 1], [1, 1, 1, 1], bias=False),
    "empty batch": convolution([0, 4, 6, 6], [5, 4, 3, 3], padding=1),
    "several blocks": convolution([2, 150, 12, 17], [210, 150, 3, 3], padding=1),
    # without a bias: the gradient of that is a sum of Jittor's, in one row
    "long sums": convolution([4, 30, 60, 50], [40, 30, 3, 3], bias=False, padding=1),
    "transposed": transposed([2, 6, 5, 4], [6, 4, 3, 3]),
    "transposed, stride 2": transposed(
        [2, 6, 5, 4], [6, 4, 4, 4], stride=(2, 2), padding=(1, 1), output_padding=(1, 0)
    ),
    "transposed, dilated": transposed(
        [2, 3, 5, 4], [3, 4, 3, 2], stride=(2, 3), padding=(1, 0), dilation=(1, 2)
    ),
    "matrices": ("matmul", [[200, 300], [300, 170]], {}),
    "vectors as matrices": ("matmul", [[1, 50], [50, 1]], {}),
    "one number": ("matmul", [[1, 1], [1, 1]], {}),
    "attention": ("matmul", [[2, 3, 30, 16], [2, 3, 16, 25]], {}),
    "broadcast": ("matmul", [[4, 1, 5, 7], [3, 7, 6]], {}),
    "one left factor": ("matmul", [[5, 7], [3, 7, 60]], {}),
    "many, several blocks": ("matmul", [[3, 210, 300], [3, 300, 170]], {}),
    "many, one number each": ("matmul", [[3, 1, 1], [3, 1, 1]], {}),
    "many, no rows": ("matmul", [[3, 0, 5], [3, 5, 6]], {}),
    "times a matrix": ("matmul", [[3, 4, 5], [5, 6]], {}),
    "matrix and vector": ("matmul", [[4, 5], [5]], {}),
    "no rows": ("matmul", [[0, 5], [5, 6]], {}),
    "linear": ("linear", [[2, 7, 130], [65, 130], [65]], {}),
    "linear, empty": ("linear", [[0, 8], [3, 8], [3]], {}),
}
# float32 has its own for these, when one of ours switches to it
BATCHED = [
    name
    for name, (function, shapes, _) in CASES.items()
    if function == "matmul" and len(shapes[1]) > 2
]

JITTOR = """
import json, sys
import numpy as np
from jittor_impl.runtime import configure, jt, nn
from jittor_setup import float64

configure("cpu", "float64")
given, found = np.load(sys.argv[1]), {}
for name, (function, shapes, options) in json.loads(sys.argv[2]).items():
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    inputs = [jt.array(given[f"{name}/{i}"]) for i in range(len(shapes))]
    y = getattr(nn, function)(*inputs, **options)
    found[f"{name}/y"] = y.numpy()
    gradients = jt.grad((y * jt.array(given[f"{name}/dy"])).sum(), inputs)
    found |= {f"{name}/{i}": g.numpy() for i, g in enumerate(gradients)}

# modules, as the functions
for module in (nn.Conv2d(4, 6, 3, 2, 1, groups=2), nn.ConvTranspose(4, 6, 3, 2, 1)):
    for p in module.parameters():
        p.update(p.float64())
    x = jt.array(np.arange(224.0).reshape(2, 4, 7, 4))
    function = nn.conv2d if isinstance(module, nn.Conv) else nn.conv_transpose
    options = {k: getattr(module, k) for k in ("stride", "padding", "groups")}
    alone = function(x, module.weight, module.bias, **options)
    assert str(alone.dtype) == "float64" and (module(x).numpy() == alone.numpy()).all()

# second gradients, and none for what is frozen
x, w = (jt.array(given[f"3x3/{i}"]) for i in (0, 1))
first = jt.grad((nn.conv2d(x, w) ** 2).sum(), x)
found["second"] = jt.grad((first**2).sum(), w).numpy()
wide = jt.grad(nn.conv2d(x, w).sum(), w).numpy()
for factor in (2, jt.float32([2.0])):  # whose gradient is a float32
    narrow = jt.grad((nn.conv2d(x, w) * factor).sum(), w)
    assert np.allclose(narrow.numpy(), 2 * wide, rtol=1e-6)
w.stop_grad()
assert not jt.grad(nn.conv2d(x, w).sum(), w).numpy().any()

# float32 is Jittor's own, bit for bit, until it is asked for, and then but for products of many matrices
def own_of_32():
    x, w = (jt.array(given[f"3x3/{i}"].astype(np.float32)) for i in (0, 1))
    assert (nn.conv2d(x, w).numpy() == nn.conv2d.__wrapped__(x, w).numpy()).all()
    a = w.reshape(8, -1)
    assert (nn.linear(a, a).numpy() == nn.matmul_transpose.__wrapped__(a, a).numpy()).all()
    assert not float64.can_multiply_batched(a, a.transpose())
    return a.reshape(8, 6, 9)

a, found_kinds = own_of_32(), []
before, float64.product = float64.product, lambda *given: found_kinds.append(1) or before(*given)
nn.bmm(a, a.transpose(0, 2, 1))
assert not found_kinds
configure("cpu", "float32")
nn.bmm(own_of_32(), a.transpose(0, 2, 1))
assert found_kinds
for name in json.loads(sys.argv[4]):
    inputs = [jt.array(given[f"{name}/{i}"].astype(np.float32)) for i in (0, 1)]
    y = inputs[0] @ inputs[1]
    dy = jt.array(given[f"{name}/dy"].astype(np.float32))
    values = {"y": y} | dict(zip("01", jt.grad((y * dy).sum(), inputs)))
    found |= {f"{name}/32/{k}": x.numpy() for k, x in values.items()}
np.savez(sys.argv[3], **found)
"""


def inputs_of(name: str) -> list[np.ndarray]:
    return [
        stream(0, "float64", name, i).standard_normal(shape)
        for i, shape in enumerate(CASES[name][1])
    ]


@cache
def exact(name: str) -> dict[str, np.ndarray]:
    """The output "y" and the gradients "0", "1", ... for the gradient "dy" of the output."""
    function, _, options = CASES[name]
    inputs = inputs_of(name)
    shape = tuple(THEIRS[function](*map(torch.from_numpy, inputs), **options).shape)
    dy = stream(0, "float64", name, "dy").standard_normal(shape)
    y, *gradients = extended.by_hand(function, inputs, dy, options)
    return {"y": y, "dy": dy} | {str(i): g for i, g in enumerate(gradients)}


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[dict[str, np.ndarray]]:
    """What Jittor has: once with one thread, once with two."""
    folder = tmp_path_factory.mktemp("float64")
    given = {f"{name}/{i}": x for name in CASES for i, x in enumerate(inputs_of(name))}
    given |= {f"{name}/dy": exact(name)["dy"] for name in CASES}
    np.savez(folder / "given.npz", **given)
    results = []
    for threads in ("1", "2"):
        out = folder / f"{threads}.npz"
        arguments = folder / "given.npz", json.dumps(CASES), out, json.dumps(BATCHED)
        environment = os.environ | {"OMP_NUM_THREADS": threads}
        subprocess.run(
            [sys.executable, "-c", JITTOR, *map(str, arguments)], check=True, env=environment
        )
        results.append(dict(np.load(out)))
    return results


def error(found: np.ndarray, wanted: np.ndarray, dtype: type = np.float64) -> float:
    assert found.shape == wanted.shape
    assert found.dtype == dtype
    size = np.linalg.norm(wanted.astype(np.float64))
    # numpy.linalg has no extended precision; the difference needs none
    off = (found - wanted).astype(np.float64)
    return np.linalg.norm(off) / size if size else np.abs(off).max(initial=0)


@pytest.mark.parametrize("name", CASES)
def test_against_exact_ones(name, found):
    wanted, got = (
        exact(name),
        {k: found[0][f"{name}/{k}"] for k in "y012"[: 1 + len(inputs_of(name))]},
    )
    bias = got.pop("2", None)
    errors = {k: error(x, wanted[k]) for k, x in got.items()}
    assert max(errors.values()) <= LIMIT, errors
    if bias is not None:
        axes = tuple(range(wanted["y"].ndim - 1)) if CASES[name][0] == "linear" else (0, 2, 3)
        sizes = np.abs(wanted["dy"]).sum(axes)
        assert np.linalg.norm((bias - wanted["2"]).astype(float)) <= SUMS * np.linalg.norm(sizes)


@pytest.mark.parametrize("name", BATCHED)
def test_many_matrices_of_float32(name, found):
    """Against float64 of the same numbers before they were rounded, for which a unit more is allowed."""
    wanted = {k: x for k, x in exact(name).items() if k != "dy"}
    errors = {k: error(found[0][f"{name}/32/{k}"], x, np.float32) for k, x in wanted.items()}
    assert max(errors.values()) <= SINGLE, errors


def test_threads_change_no_bit(found):
    assert found[0].keys() == found[1].keys()
    changed = [k for k, x in found[0].items() if x.tobytes() != found[1][k].tobytes()]
    assert changed == []


def test_second_gradients(found):
    """Of the squared norm of d(squared norm of a convolution) / dx, by the weights."""
    x, w = (torch.from_numpy(a).requires_grad_() for a in inputs_of("3x3")[:2])
    (first,) = torch.autograd.grad((functional.conv2d(x, w) ** 2).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((first**2).sum(), w)
    assert error(found[0]["second"], second.numpy()) <= LIMIT
