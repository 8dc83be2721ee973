"""The nvcc of a CUDA home: which standard a kernel gets, whole files or none, kernels of a store."""

from __future__ import annotations

import os
import subprocess

import pytest

from jittor_setup.cuda_home import CudaHomeError, build, find_toolkit
from tests.fake_cuda import fake_toolkit, fake_wheels, toolkit_of, write

KERNEL = """#define JIT_cuda 1
#include <cmath>
#include <functional>
__global__ void twice(float* x) { x[threadIdx.x] = 2 * ::sqrt(x[threadIdx.x]); }
void run(float* x) { twice<<<1, 32>>>(x); }
"""


@pytest.mark.parametrize(
    ("text", "standard"),
    [
        (KERNEL, "14"),
        (KERNEL.replace("<functional>", "<cub/cub.cuh>"), "17"),
        (KERNEL.replace("<functional>", '"thrust/sort.h"'), "17"),
        (KERNEL.replace("JIT_cuda", "JIT_cpu"), "17"),
    ],
    ids=["a kernel", "with CUB", "with Thrust", "not a kernel"],
)
def test_kernels_without_cub_are_compiled_as_jittor_asks(text, standard, tmp_path):
    toolkit = toolkit_of(fake_toolkit(tmp_path / "cuda"))
    home = build(tmp_path / "cache", toolkit, fake_wheels(tmp_path / "site"), system=False)
    source = write(tmp_path / "folder with blank" / "some_op.cc", text)
    command = [home / "bin/nvcc", source, "-std=c++14", "-o", "x.so"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"-std=c++{standard} -o x.so." in told and told.count("nvcc ") == 1
    assert f"-L{home.resolve()}/lib64" in told


def test_a_kernel_that_needs_more_than_jittor_asks_for_gets_it(tmp_path):
    root = fake_toolkit(tmp_path / "cuda")
    toolkit = toolkit_of(root)
    write(
        root / "bin/nvcc",
        '#!/bin/sh\ncase "$*" in *c++14*) echo no >&2; exit 1;; esac\necho "nvcc $*"\n',
    )
    home = build(tmp_path / "cache", toolkit, fake_wheels(tmp_path / "site"), system=False)
    source = write(tmp_path / "some_op.cc", KERNEL)
    command = [home / "bin/nvcc", source, "-std=c++14"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0 and "-std=c++17" in result.stdout and not result.stderr


def test_a_kernel_that_is_in_the_store_is_not_compiled_again(tmp_path):
    """On another machine the paths are others, and the processor; the kernel is the same."""
    root = fake_toolkit(tmp_path / "cuda")
    write(
        root / "bin/nvcc",
        f'#!/bin/sh\ncase "$1" in --version) echo release 13.0; exit;; esac\necho "$*" >> {tmp_path}/calls\n'
        'while [ "$1" != -o ]; do shift; done\nprintf made > "$2"\ncase "$2" in *bad*) exit 3;; esac\n',
    ).chmod(0o755)
    home = build(tmp_path / "cache", toolkit_of(root), fake_wheels(tmp_path / "site"), system=False)
    store = tmp_path / "not there yet" / "store"

    def compiled(place: str, text: str = KERNEL, *options: str) -> int:
        """How often the real nvcc was called."""
        (tmp_path / "calls").write_text("")
        source = write(tmp_path / place / "some_op.cc", text)
        library = write(tmp_path / place / "jit_utils_core.cpython-312.so")
        command = [home / "bin/nvcc", source, "-std=c++14", "-march=native", f"-I{place}/include"]
        command += [f"-L{library.parent}", *options, "-o", tmp_path / place / "some_op.so"]
        environment = os.environ | {"KERNEL_STORE": str(store)}
        code = subprocess.run(command, env=environment, check=False).returncode
        assert code == (3 if "bad" in place else 0)
        assert ("bad" in place) or (tmp_path / place / "some_op.so").read_text() == "made"
        if not code:
            assert (store / library.name).resolve() == library.resolve(), "found from any kernel"
        return len((tmp_path / "calls").read_text().splitlines())

    def kept() -> int:
        return sum(not path.is_symlink() for path in store.glob("*.so"))

    assert compiled("bad") and not kept(), "what failed is not kept"
    assert compiled("one") == 1
    call = (tmp_path / "calls").read_text()
    assert "-march=x86-64-v3" in call and f"-Xlinker -rpath={store}" in call
    assert compiled("two") == 0 and kept() == 1
    assert compiled("two", KERNEL.replace("2 *", "3 *")) == 1, "another kernel"
    assert compiled("two", KERNEL, "-code=sm_100") == 1, "for another GPU"
    assert kept() == 3


def test_what_nvcc_makes_appears_whole_or_not_at_all(tmp_path):
    """Processes that compile the same kernel at once, as the lease does, never see half of it."""
    root = fake_toolkit(tmp_path / "cuda")
    write(
        root / "bin/nvcc",
        '#!/bin/sh\ncase "$1" in --version) echo release 13.0; exit;; esac\n'
        'while [ "$1" != -o ]; do shift; done\nprintf half > "$2"\nsleep 0.3\n'
        'case "$2" in *bad*) exit 3;; esac\nprintf whole > "$2"\n',
    ).chmod(0o755)
    home = build(tmp_path / "cache", toolkit_of(root), fake_wheels(tmp_path / "site"), system=False)
    out = tmp_path / "with blank" / "x_op.so"
    out.parent.mkdir()
    command = [home / "bin/nvcc", "a_op.cc", "-std=c++14", "-o", out]
    running = [subprocess.Popen(command) for _ in range(3)]
    seen = set()
    while any(p.poll() is None for p in running):
        seen.add(out.read_text() if out.exists() else None)
    assert [p.returncode for p in running] == [0] * 3
    assert seen <= {None, "whole"} and out.read_text() == "whole"
    bad = out.with_name("bad_op.so")
    assert subprocess.run([*command[:-1], bad]).returncode == 3
    assert [p.name for p in out.parent.iterdir()] == [out.name], "nothing else is left"


def test_the_standard_does_not_change_device_code(tmp_path):
    """With the real compiler, where there is one: the same bytes."""
    try:
        toolkit = find_toolkit(environ={})
    except CudaHomeError:
        pytest.skip("no nvcc: nothing is compiled")
    source, made = write(tmp_path / "some_op.cc", KERNEL), []
    for standard in ("14", "17"):
        out = tmp_path / f"{standard}.cubin"
        command = [toolkit.nvcc, "-x", "cu", "-arch=sm_90", f"-std=c++{standard}", "-cubin"]
        subprocess.run([*command, source, "-o", out], check=True, capture_output=True)
        made.append(out.read_bytes())
    assert made[0] == made[1]
