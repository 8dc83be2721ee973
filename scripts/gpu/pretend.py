"""A GPU that is not there, to count what nvcc compiles: `python -m scripts.gpu.pretend FOLDER`.

Makes libraries that answer for CUDA's own: one device of compute capability 9.0, memory is the machine's, kernels are
compiled by the real nvcc and do nothing when they are launched. What is computed is zeros: only counts and times of
compiling mean anything. --steps runs the background tasks of steps (warm.py) with it and tells both. With KERNEL_STORE
in the environment what is compiled is kept there, for a machine with a GPU (docs/gpu.md).

With --emulate kernels are compiled by g++ and run on the CPU (emulated.py): all that Jittor does on CUDA is computed,
slowly. Jittor with the printed variables and jt.flags.use_cuda = 1 is such a GPU; EMULATED_GO_ON=1 goes on after a
launch that CUDA would refuse.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from jittor_setup import cuda_home
from jittor_setup.cuda_toolkit import find_toolkit, of_major, wheels
from neutral.errors import InputError
from scripts.common import run_main
from scripts.gpu.emulated import LIBRARIES as EMULATED
from scripts.gpu.harness import Kernels
from scripts.gpu.plan import ROOT

LIBRARIES = ("cudart", "cublas", "cublasLt", "cudnn", "curand", "cufft", "cusparse", "nvJitLink")
RUNTIME = r"""
#include <cstdlib>
#include <cstring>
#include <cuda_runtime_api.h>
extern "C" {
cudaError_t cudaGetDeviceCount(int* n) { *n = 1; return cudaSuccess; }
cudaError_t cudaGetDevice(int* n) { *n = 0; return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
    memset(p, 0, sizeof(*p)); strcpy(p->name, "pretended"); p->major = 9; p->minor = 0;
    p->totalGlobalMem = 8ull << 30; p->multiProcessorCount = 132; p->warpSize = 32; p->maxThreadsPerBlock = 1024;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* v, cudaDeviceAttr a, int) {
    *v = a == cudaDevAttrComputeCapabilityMajor ? 9 : a == cudaDevAttrComputeCapabilityMinor ? 0 : 1024;
    return cudaSuccess;
}
cudaError_t cudaMalloc(void** p, size_t n) { *p = calloc(n + 512, 1); return cudaSuccess; }
cudaError_t cudaMallocAsync(void** p, size_t n, cudaStream_t) { return cudaMalloc(p, n); }
cudaError_t cudaMallocManaged(void** p, size_t n, unsigned) { return cudaMalloc(p, n); }
cudaError_t cudaMallocHost(void** p, size_t n) { return cudaMalloc(p, n); }
cudaError_t cudaHostAlloc(void** p, size_t n, unsigned) { return cudaMalloc(p, n); }
cudaError_t cudaFree(void* p) { free(p); return cudaSuccess; }
cudaError_t cudaFreeAsync(void* p, cudaStream_t) { free(p); return cudaSuccess; }
cudaError_t cudaFreeHost(void* p) { free(p); return cudaSuccess; }
cudaError_t cudaMemcpy(void* a, const void* b, size_t n, cudaMemcpyKind) { memmove(a, b, n); return cudaSuccess; }
cudaError_t cudaMemcpyAsync(void* a, const void* b, size_t n, cudaMemcpyKind k, cudaStream_t) {
    return cudaMemcpy(a, b, n, k);
}
cudaError_t cudaMemset(void* p, int v, size_t n) { memset(p, v, n); return cudaSuccess; }
cudaError_t cudaMemsetAsync(void* p, int v, size_t n, cudaStream_t) { memset(p, v, n); return cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* f, size_t* t) { *f = *t = 8ull << 30; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* v) { *v = 13000; return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* v) { *v = 13000; return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "pretended"; }
const char* cudaGetErrorName(cudaError_t) { return "pretended"; }
cudaError_t cudaStreamCreate(cudaStream_t* s) { *s = (cudaStream_t)malloc(8); return cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) { return cudaStreamCreate(s); }
cudaError_t cudaEventCreate(cudaEvent_t* e) { *e = (cudaEvent_t)malloc(8); return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { return cudaEventCreate(e); }
cudaError_t cudaEventElapsedTime(float* t, cudaEvent_t, cudaEvent_t) { *t = 1; return cudaSuccess; }
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t f, void* d) { f(d); return cudaSuccess; }
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* a, const void*) {
    memset(a, 0, sizeof(*a)); a->maxThreadsPerBlock = 1024; a->binaryVersion = a->ptxVersion = 90;
    return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* n, const void*, int, size_t) {
    *n = 4; return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* n, const void*, int, size_t, unsigned) {
    *n = 4; return cudaSuccess;
}
void** __cudaRegisterFatBinary(void*) { static void* none[64]; return none; }
unsigned __cudaPushCallConfiguration(dim3, dim3, size_t, void*) { return 0; }
cudaError_t __cudaPopCallConfiguration(dim3* a, dim3* b, size_t* c, void* d) {
    *a = dim3(1); *b = dim3(1); *c = 0; *(void**)d = nullptr; return cudaSuccess;
}
}
"""
# handles point somewhere; a search of algorithms finds one, that needs no memory
OTHERS = {
    "cublas": "int cublasCreate_v2(void** h) { *h = &room; return 0; }\n",
    "cudnn": """
int cudnnCreate(void** h) { *h = &room; return 0; }
size_t cudnnGetVersion() { return 91900; }
const char* cudnnGetErrorString(int) { return "pretended"; }
#define DESCRIPTOR(kind) int cudnnCreate##kind##Descriptor(void** d) { *d = &room; return 0; }
DESCRIPTOR(Tensor) DESCRIPTOR(Filter) DESCRIPTOR(Convolution) DESCRIPTOR(Dropout) DESCRIPTOR(RNN)
#define SEARCH(name) int name(void*, void*, void*, void*, void*, int, int* n, int* p) { \\
    *n = 1; memset(p, 0, 48); return 0; }
SEARCH(cudnnGetConvolutionForwardAlgorithm_v7)
SEARCH(cudnnGetConvolutionBackwardDataAlgorithm_v7)
SEARCH(cudnnGetConvolutionBackwardFilterAlgorithm_v7)
typedef void* P;
#define FIND(name) int name(P, P, P, P, P, P, P, P, int, int* n, int* p, P, size_t) { \\
    *n = 1; memset(p, 0, 48); return 0; }
FIND(cudnnFindConvolutionForwardAlgorithmEx)
FIND(cudnnFindConvolutionBackwardDataAlgorithmEx)
FIND(cudnnFindConvolutionBackwardFilterAlgorithmEx)
#define SIZE(name) int name(void*, void*, void*, void*, void*, int, size_t* n) { *n = 0; return 0; }
SIZE(cudnnGetConvolutionForwardWorkspaceSize)
SIZE(cudnnGetConvolutionBackwardDataWorkspaceSize)
SIZE(cudnnGetConvolutionBackwardFilterWorkspaceSize)
""",
    "curand": "int curandCreateGenerator(void** h, int) { *h = &room; return 0; }\n",
    "cufft": "",
    "cusparse": "int cusparseCreate(void** h) { *h = &room; return 0; }\n",
}
DRIVER = """
extern "C" {
int cuInit(unsigned) { return 0; }
int cuDriverGetVersion(int* v) { *v = 13000; return 0; }
int cuDeviceGetCount(int* n) { *n = 1; return 0; }
int cuDeviceGet(int* d, int) { *d = 0; return 0; }
int cuDeviceGetAttribute(int* v, int a, int) { *v = a == 75 ? 9 : 0; return 0; }
}
"""


def exported(library: Path) -> list[str]:
    """Functions and data that a library defines, without the versions of its symbols."""
    command = ["nm", "-D", "--defined-only", str(library)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = (line.split()[-1].partition("@")[0] for line in told.splitlines() if line)
    return sorted({name for name in names if re.fullmatch(r"[A-Za-z_]\w*", name)})


def make_library(target: Path, names: list[str], own: str, include: Path) -> None:
    """A library in which every name is a function that returns 0, but for those that `own`, C++, defines."""
    weak = "__attribute__((weak)) long"  # where there are two, the one in `own` counts
    rest = "\n".join(
        f"{weak} {name}() {{ return 0; }}" for name in names if name not in ("_init", "_fini")
    )
    place = target.parent / "source"
    place.mkdir(exist_ok=True)
    (place / "own.cc").write_text(own)
    (place / "rest.c").write_text(rest)
    for source, compiler in (("own.cc", "g++"), ("rest.c", "gcc")):
        command = [
            compiler,
            "-w",
            "-O1",
            "-fPIC",
            f"-I{include}",
            "-c",
            source,
            "-o",
            f"{source}.o",
        ]
        subprocess.run(command, cwd=place, check=True)
    command = ["g++", "-shared", f"-Wl,-soname,{target.name}", "own.cc.o", "rest.c.o", "-o", target]
    subprocess.run(list(map(str, command)), cwd=place, check=True)
    shutil.rmtree(place)


NVCC = """#!/bin/sh
case "$1" in --version|-V) exec '{real}' "$@";; esac
exec '{python}' -S '{program}' "$@"
"""


def pretend(folder: Path, emulate: bool = False) -> Path:
    """Makes the libraries and a CUDA home of them; the home. `emulate`: kernels are compiled by g++ and run on the CPU.

    InputError without an nvcc or NVIDIA's wheels.
    """
    others = OTHERS | EMULATED if emulate else OTHERS
    folder.mkdir(parents=True, exist_ok=True)
    found = wheels()
    toolkit = find_toolkit(of_wheels=found)
    include = toolkit.includes()[0]
    beside = folder / "site" / "nvidia" / f"cu{toolkit.version[0]}"
    (beside / "lib").mkdir(parents=True, exist_ok=True)
    (beside / "include").mkdir(exist_ok=True)
    for wheel in of_major(found, toolkit.version[0]):
        headers = wheel / "include"
        for entry in headers.iterdir() if headers.is_dir() else ():
            cuda_home.merge(entry, beside / "include" / entry.name)
        for library in sorted((wheel / "lib").glob("lib*.so.*")):
            stem = library.name.removeprefix("lib").partition(".so")[0]
            if stem.startswith(LIBRARIES) and not (beside / "lib" / library.name).exists():
                own = RUNTIME if stem == "cudart" else others.get(stem, "")
                if stem != "cudart":
                    included = ("cmath", "cstddef", "cstdio", "cstdlib", "cstring")
                    head = "".join(f"#include <{name}>\n" for name in included)
                    head += 'static long room[64];\nextern "C" {\n'
                    own = f"{head}{own}}}\n"
                make_library(beside / "lib" / library.name, exported(library), own, include)
    driver = folder / "driver"
    driver.mkdir(exist_ok=True)
    make_library(driver / "libcuda.so.1", [], DRIVER, include)
    without = (
        folder / "without" / "torch"
    )  # Jittor would import it, and with it the libraries that are pretended
    without.mkdir(parents=True, exist_ok=True)
    (without / "__init__.py").write_text('raise ImportError("not beside a pretended GPU")\n')
    (driver / "libcuda.so").unlink(missing_ok=True)
    (driver / "libcuda.so").symlink_to("libcuda.so.1")
    home = cuda_home.build(folder, toolkit, [beside], system=False)
    if emulate:
        program = Path(__file__).with_name("emulated.py")
        names = {"real": toolkit.nvcc, "python": sys.executable, "program": program}
        (home / "bin" / "nvcc").write_text(NVCC.format(**names))
    return home


def variables(folder: Path, home: Path) -> dict[str, str]:
    """HOME and not JITTOR_HOME: Jittor would remember that one, and take it for the user's other runs, too."""
    # the system may have libraries of the same names
    paths = (str(folder / "driver"), str(home / "lib64"), os.environ.get("LD_LIBRARY_PATH"))
    chosen = {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths)), "HOME": str(folder)}
    paths = (str(folder / "without"), os.environ.get("PYTHONPATH"))
    chosen["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return cuda_home.variables(home) | chosen


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="for the libraries and for Jittor's cache")
    parser.add_argument("--steps", nargs="*", default=[], help="whose kernels are to be counted")
    parser.add_argument("--lanes", type=int, default=1)
    text = "kernels run, on the CPU, compiled by g++"
    parser.add_argument("--emulate", action="store_true", help=text)
    options = parser.parse_args()
    folder = options.folder.resolve()
    try:
        home = pretend(folder, options.emulate)
    except cuda_home.CudaHomeError as error:
        raise InputError(str(error)) from None
    chosen = variables(folder, home)
    if not options.emulate:  # every array gets memory of zeros: no index is wild
        chosen["use_sfrl_allocator"] = "0"
    for name, value in chosen.items():
        print(f"{name}={value}")
    for step in options.steps:
        kernels, began = Kernels(folder / ".cache" / "jittor"), time.monotonic()
        command = [sys.executable, "-m", "scripts.gpu.warm", "--device", "cuda"]
        command += ["--lanes", str(options.lanes), "--steps", step]
        subprocess.run(command, cwd=ROOT, env=os.environ | chosen, check=False)
        told = {"kernels": kernels.fresh(), "compiler seconds": round(kernels.seconds(), 1)}
        print(
            json.dumps({"step": step, "seconds": round(time.monotonic() - began, 1)} | told),
            flush=True,
        )


if __name__ == "__main__":
    run_main(main)
