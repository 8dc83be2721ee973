"""Kernels compiled with prepared headers have the same machine code as without."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jittor_setup import compiling
from jittor_setup.environment import jittor_home
from scripts.bench_kernels import WAYS, command_of, key_of

ROOT = Path(__file__).resolve().parent.parent
PROBE = """
import json, numpy as np
from jittor_impl.runtime import jt
x, w = (jt.array(np.random.rand(*s).astype("float32")) for s in ((4, 8, 16, 16), (4, 8, 3, 3)))
rows = jt.nn.softmax(x.reshape(64, -1), dim=1)
loss = jt.nn.relu(jt.nn.conv2d(x, w, padding=1)).sum() + jt.nn.max_pool2d(x, 2, 2).sum() + jt.nn.gelu(x).mean()
for y in [*jt.grad(loss + rows.max(), [x, w]), *jt.argmax(rows, dim=1), *jt.argsort(rows, dim=1), jt.cumsum(rows, 1),
          jt.concat([x, x], 0)[1:3, :, 2:5], jt.matmul(rows, rows.transpose()), rows[jt.array([1, 2])], jt.rand(3),
          jt.ternary(rows > 0.5, rows, -rows), jt.where(rows > 0.5)[0], rows.int32() // 3, x.float64().exp(),
          jt.nn.layer_norm(rows, [256], 1, 0), jt.nn.interpolate(x, scale_factor=2), jt.arange(7), x.clamp(0, 1)]:
    y.numpy()
print("CACHE" + json.dumps(jt.flags.cache_path))
"""


@pytest.fixture(scope="module")
def chosen() -> dict[str, str]:
    """Variables that our way of compiling goes by."""
    return compiling.prepare(jittor_home() / ".cache" / "jittor")


@pytest.fixture(scope="module")
def kernels(chosen) -> list[Path]:
    """Sources of kernels in Jittor's cache: at least 20 of different kinds, some for the tuner, none of oneDNN.

    A cache keeps those that older programs compiled, whose commands do not know headers of today.
    """
    result = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    line = next(x for x in result.stdout.splitlines() if x.startswith("CACHE"))
    folder = Path(json.loads(line.removeprefix("CACHE"))) / "jit"
    kinds: dict[tuple, Path] = {}
    for source in sorted(folder.glob("*_op.cc")):
        key = key_of(source)
        if key.is_file() and chosen["cc_path"] in key.read_text():
            ops = tuple(re.findall(r"(?:^|opkey[01]_)_*([a-z]\w*?)__", source.name))
            text = source.read_text(errors="replace")
            if "dnnl.hpp" in text:
                continue  # it calls oneDNN and computes nothing: there registers may be named otherwise
            tuned = "@begin" in text
            kinds.setdefault((ops, tuned), source)
    assert len(kinds) >= 20
    assert any(tuned for _, tuned in kinds)
    tuned = [path for (_, t), path in kinds.items() if t][:4]
    return tuned + [path for (_, t), path in kinds.items() if not t][:24]


def compiled(source: Path, folder: Path, **variables: str) -> dict[str, str]:
    """Instructions of a kernel by function, compiled by Jittor's own command line.

    Functions come in no order that means anything, so addresses are left out.
    """
    command, work = command_of(source, folder), folder / "jit"
    assert str(work) in command
    subprocess.run(command, shell=True, check=True, capture_output=True, env=os.environ | variables)
    # what the linker adds of its own, stubs to call others by, is in other sections
    dump = ["objdump", "-d", "-j.text", "--no-addresses", "--no-show-raw-insn"]
    dump += [work / f"{source.stem}.so"]
    text = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    found = dict(re.findall(r"^<(.+)>:\n((?:.+\n)*)", text, re.M))
    distance = re.compile(r"-?0x[0-9a-f]+\(%rip\).*")  # from the instruction to its constant
    between = re.compile(
        r"(\t(nop|xchg   %ax,%ax|data16|cs nop|\.\.\.|add    %al,\(%rax\)).*\n)+$"
    )  # functions
    found = {k: between.sub("", distance.sub("(%rip)", code)) for k, code in found.items()}
    assert any("jit_run" in name for name in found)
    return found


def test_kernels_have_the_same_machine_code(kernels, chosen, tmp_path):
    headers = Path(chosen[compiling.SWITCH])
    for number, source in enumerate(kernels):
        own = compiled(source, tmp_path / f"own{number}", **chosen | {compiling.SWITCH: "0"})
        prepared = compiled(source, tmp_path / f"prepared{number}", **chosen)
        assert own.keys() == prepared.keys(), source.name
        for name, code in own.items():
            assert code == prepared[name], f"{source.name}: {name}"
    assert list(headers.glob("kernel-*/kernel.h.gch")), "the second way was taken"


def test_a_command_line_of_jittors_is_understood(kernels):
    """What the small programs take apart is what Jittor writes."""
    command = key_of(kernels[-1]).read_text().splitlines()[0]
    words = shlex.split(command)
    assert words[1].endswith("asm_tuner.py")
    assert words[2].startswith("--cc_path=")
    assert words[3] == str(kernels[-1])


def test_what_a_kernel_costs_is_told_for_each_way(kernels, tmp_path):
    out = tmp_path / "kernels.json"
    program = ["-m", "scripts.bench_kernels", "--kernels", "1", "--rounds", "1", "--out", str(out)]
    subprocess.run([sys.executable, *program], cwd=ROOT, check=True, capture_output=True)
    found = json.loads(out.read_text())
    assert set(WAYS) < found["best"].keys() == found["median"].keys()
    assert found["best"]["waiting / own"] == found["best"]["waiting"] / found["best"]["own"]
