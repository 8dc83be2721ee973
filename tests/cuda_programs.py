"""A program of kernels, for the CPU and emulated for CUDA, that tests compile once and call with arrays."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.gpu.emulated import translate

TYPES = {
    "float32": "float",
    "float64": "double",
    "int32": "int",
    "int64": "long long",
    "bool": "bool",
}
TOP = """
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <omp.h>
#include <string>
#include <vector>
typedef std::map<std::string, double> Data;
"""
MAIN = """
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <vector>
typedef std::map<std::string, double> Data;
bool run_cpu(const std::string& name, Data& data, void** in, int (*is)[4], void** out, int (*os)[4]);
bool run_cuda(const std::string& name, Data& data, void** in, int (*is)[4], void** out, int (*os)[4]);
int number() { int n; if (fread(&n, 4, 1, stdin) != 1) exit(0); return n; }
std::string word() {
    char text[32];
    if (fread(text, 32, 1, stdin) != 1) exit(0);
    return text;
}
#ifdef __SANITIZE_ADDRESS__
struct Array {  // of its own: what is read beside it is seen
    explicit Array(long size) : bytes(new char[size]) {}
    char* get() { return bytes.get(); }
    std::unique_ptr<char[]> bytes;
};
#else
struct Array {  // ends where a page begins that nobody may touch
    explicit Array(long size) : size(size), whole((size + PAGE - 1) / PAGE * PAGE) {
        begin = (char*)mmap(0, whole + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (begin == MAP_FAILED || mprotect(begin + whole, PAGE, PROT_NONE)) exit(5);
        memset(begin, 0xbe, whole);
    }
    ~Array() { munmap(begin, whole + PAGE); }
    char* get() { return begin + whole - size; }
    static const long PAGE = 4096;
    long size, whole;
    char* begin;
};
#endif
void answer() {
    std::string where = word(), name = word();
    setenv("EMULATED_ORDER", word().c_str(), 1);
    std::vector<std::unique_ptr<Array>> kept;
    void* p[2][8];
    int shapes[2][8][4] = {}, counts[2];
    long sizes[2][8];
    for (int side = 0; side < 2; side++) {
        counts[side] = number();
        for (int k = 0; k < counts[side]; k++) {
            sizes[side][k] = number();
            for (int axis = 0; axis < 4; axis++) shapes[side][k][axis] = number();
            kept.emplace_back(new Array(sizes[side][k]));
            p[side][k] = kept.back()->get();
            if (!side && fread(p[0][k], 1, sizes[0][k], stdin) != (size_t)sizes[0][k]) exit(3);
        }
    }
    Data data;
    for (int n = number(); n; n--) {
        std::string key = word();
        if (fread(&data[key], 8, 1, stdin) != 1) exit(3);
    }
    auto run = where == "cpu" ? run_cpu : run_cuda;
    if (!run(name, data, p[0], shapes[0], p[1], shapes[1])) exit(4);
    for (int k = 0; k < counts[1]; k++) fwrite(p[1][k], 1, sizes[1][k], stdout);
    fputs("done", stdout);
    fflush(stdout);
}
int main() {
    rlimit seconds = {120, 120};  // of CPU time: a kernel that never ends is an error, and nobody's process
    setrlimit(RLIMIT_CPU, &seconds);
    while (true) answer();
}
"""


@dataclass(frozen=True)
class Source:
    """Of one kernel with these dtypes: what Jittor would compile."""

    name: str
    header: str
    code: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def function(number: int, source: Source) -> str:
    lines = [f"namespace kernel{number} {{", source.header]
    lines.append("static void run(Data& data, void** in, int (*is)[4], void** out, int (*os)[4]) {")
    for prefix, kinds in (("in", source.inputs), ("out", source.outputs)):
        for k, kind in enumerate(kinds):
            lines.append(f"typedef {TYPES[kind]} {prefix}{k}_type;")
            lines.append(f"auto* {prefix}{k}_p = ({prefix}{k}_type*){prefix}[{k}];")
            lines += [f"int {prefix}{k}_shape{n} = {prefix[0]}s[{k}][{n}];" for n in range(4)]
    return "\n".join([*lines, source.code, "}}"])


def unit(entry: str, sources: list[Source]) -> str:
    functions = [function(number, source) for number, source in enumerate(sources)]
    calls = [
        f'    if (name == "{source.name}") return kernel{number}::run(data, in, is, out, os), true;'
        for number, source in enumerate(sources)
    ]
    head = f"bool {entry}(const std::string& name, Data& data, void** in, int (*is)[4], void** out, int (*os)[4]) {{"
    return "\n".join([*functions, head, *calls, "    return false;", "}"])


class Program:
    """Kernels compiled by g++; what lies behind an array ends the program; `sanitised`: also what lies before it, and
    overflow."""

    def __init__(self, folder: Path, cpu: list[Source], cuda: list[Source], sanitised: bool = True):
        texts = {"main.cc": MAIN, "cpu.cc": TOP + unit("run_cpu", cpu)}
        texts["cuda.cc"] = TOP + translate(unit("run_cuda", cuda))
        for name, text in texts.items():
            (folder / name).write_text(text)
        self.path, self.errors = folder / "kernels", folder / "errors"
        self.process: subprocess.Popen | None = None
        checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover"] if sanitised else []
        command = ["g++", "-std=c++17", "-O0", "-w", "-ffp-contract=off", "-fopenmp", *checks]
        command += [*texts, "-o", self.path.name]
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert found.returncode == 0, found.stderr[-3000:]

    def start(self) -> subprocess.Popen:
        variables = {"OMP_NUM_THREADS": "2", "ASAN_OPTIONS": "detect_leaks=0"}
        pipes = {name: subprocess.PIPE for name in ("stdin", "stdout")}
        return subprocess.Popen([self.path], env=variables, stderr=self.errors.open("w"), **pipes)

    def close(self) -> int:
        """Ends the program; its exit code."""
        code = 0
        if self.process is not None:
            self.process.stdin.close()
            self.process.stdout.close()
            code = self.process.wait()
            self.process = None
        return code

    def __call__(
        self, where: str, name: str, inputs, outputs, data=None, order: str = ""
    ) -> list[np.ndarray]:
        """`outputs`: pairs of shape and dtype; `where`: "cpu" or "cuda"."""
        sent = [word(where), word(name), word(order), struct.pack("i", len(inputs))]
        for x in map(np.ascontiguousarray, inputs):
            sent += [struct.pack("i4i", x.nbytes, *(*x.shape, 0, 0, 0, 0)[:4]), x.tobytes()]
        sizes = [int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in outputs]
        sent.append(struct.pack("i", len(outputs)))
        for size, (shape, _) in zip(sizes, outputs, strict=True):
            sent.append(struct.pack("i4i", size, *(*shape, 0, 0, 0, 0)[:4]))
        sent.append(struct.pack("i", len(data or {})))
        sent += [word(key) + struct.pack("d", value) for key, value in (data or {}).items()]
        if self.process is None:
            self.process = self.start()
        try:
            self.process.stdin.write(b"".join(sent))
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        told = self.process.stdout.read(sum(sizes) + 4)
        if not told.endswith(b"done"):
            code = self.close()
            raise AssertionError(f"{name} on {where}: {code}, {self.errors.read_text()[-2000:]}")
        parts = np.split(np.frombuffer(told[:-4], "uint8"), np.cumsum(sizes)[:-1])
        pairs = zip(parts, outputs, strict=True)
        return [part.view(kind).reshape(shape) for part, (shape, kind) in pairs]


def word(text: str) -> bytes:
    assert len(text) < 32
    return text.encode().ljust(32, b"\0")
