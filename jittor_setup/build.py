"""What compiler.sh leaves to Python: the compiled headers, and the files of Jittor's core.

    build.py .../kernel-NUMBER COMPILER ARGUMENTS ...    makes this folder: the header for kernels with these flags
    build.py FOLDER COMPILER ARGUMENTS ...               compiles files of the core, with a header of theirs

One process builds a header, the others wait; what cannot be built leaves an empty folder, and nobody tries again.
Standard library only and one file: it is copied into Jittor's cache, and each start counts.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import zlib

MOST = 12  # compiled headers, some 70 MB each; other flags then go without
SYSTEM = ("algorithm", "cmath", "functional", "limits", "sstream", "vector", "assert.h")
HEADERS = ("var.h", "fused_op.h", "executor.h", "ops/op_register.h")
OPS = (
    *(
        "arg_reduce",
        "argsort",
        "array",
        "binary",
        "broadcast_to",
        "candidate",
        "clone",
        "code",
        "copy",
        "getitem",
    ),
    *(
        "index",
        "random",
        "reduce",
        "reindex",
        "reindex_reduce",
        "setitem",
        "ternary",
        "transpose",
        "unary",
        "where",
    ),
)
# Python's side of Jittor and what writes kernels, half of the core's time; what builds and runs graphs stays at -O2
LIGHTLY = (
    "/gen/pyjt_",
    "/src/test/",
    "/src/opt/",
    "/src/profiler/",
    "_compiler.cc",
    "_profiler.cc",
)
# files of the core that are compiled from a copy: a header of ours in front, and what stands there in place of what
MENDED = {
    "/src/jit_compiler.cc": (
        "kernel_lock.h",
        {"    string other_src;\n": "    string other_src;\n    KernelLock held(jit_src_path);\n"},
    ),
    "/src/parallel_compiler.cc": (
        "turns.h",
        {
            "bool is_fused_op = rid<0;\n": "bool is_fused_op = rid<0;\n            Turn turn;\n",
            # the last of the threads looks at n when the main thread may have left with it
            "auto func = [&](int tid) {\n": "auto func = [&, n](int tid) {\n",
            # one that wakes up without having been told would run what is over
            "    std::thread thread;\n": "    bool told = false;\n    std::thread thread;\n",
            "            if (func)\n                func(id);\n": "",
            "cv.wait(lck);\n": "cv.wait(lck, [&] { return told; });\n                told = false;\n",
            "        this->func = func;\n": "        this->func = func;\n        told = true;\n",
        },
    ),
    # a thread that crashed would wait for itself to end
    "/src/utils/log.cc": (
        "",
        {"    segfault_happen = 1;\n    exit(1);\n": "    segfault_happen = 1;\n    _Exit(1);\n"},
    ),
}
# An inline function of Jittor's headers, up to its arguments: not what is virtual, a destructor or a conversion.
INLINE = re.compile(
    r"^([ \t]*)((?:static )?inline(?: static)?\s)(?!\s*(?:virtual|~|operator\b))"
    r"([^\n(;{}=]*?)(\boperator *[^\s(]+|\b\w+)\(([^\n)]*)",
    re.M,
)
TEMPLATE = re.compile(r"template\s*<[^\n]*>\s*$")
VIRTUAL = re.compile(r"\bvirtual\b[^;{(]*?(?<!~)\b(\w+)\(")
# What holds always, unless -DNODE_MEMCHECK asks, and the same without words, which cost every kernel time. What may
# throw stays something that may throw, or registers are named otherwise.
HOLDS = 'ASSERT(node->exist()) << "Node("#node")" << (void*)node << "not exist."'
BRIEFLY = "(node->exist() ? (void) 0 : throw 1)"
# its main thread waits for compilers in sleeps that double up to a second, where a tenth was meant
WAITING = "-Dmicroseconds(x)=microseconds((x) < 5000 ? (x) : 5000)"


def header(kind: str) -> str:
    """What kernels, or files of the core, begin with; what another version of Jittor lacks is left out."""
    text = "#define JIT 1\n#define JIT_cpu 1\n" if kind == "kernel" else ""
    text += "".join(f"#include <{name}>\n" for name in SYSTEM)
    ops = [f"ops/{op}_op.h" for op in OPS] if kind == "kernel" else ["var_holder.h"]
    names = (*HEADERS, *ops, "dnnl.hpp")
    return text + "".join(f'#if __has_include("{n}")\n#include "{n}"\n#endif\n' for n in names)


def copied(flags: list, folder: str) -> bool:
    """Whether Jittor's headers were found, and copied to `folder` with every inline function a template of one more
    argument, which nobody gives.

    g++ instantiates all that inline functions call in each file that reads them, what templates call only where
    they are called. Calls look the same, and give the same code.
    """
    places = [flag[2:] for flag in flags if flag.startswith("-I")]
    sources = next((p for p in places if os.path.isfile(os.path.join(p, "var.h"))), None)
    if sources is None:
        return False
    texts = {}
    try:
        for place, _, names in os.walk(sources):
            for path in (os.path.join(place, name) for name in names if name.endswith(".h")):
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    texts[path] = file.read()
        virtual = {name for text in texts.values() for name in VIRTUAL.findall(text)}
        for path, text in texts.items():
            if "__device__" not in text:
                text = lazy(text, virtual)
                if not any("NODE_MEMCHECK" in flag for flag in flags):
                    text = text.replace(HOLDS, BRIEFLY)
            copy = os.path.join(folder, os.path.relpath(path, sources))
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            with open(copy, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f'#line 1 "{path}"\n{text}')
    except OSError:  # a header that nobody may read, or no place left
        return False
    return True


def lazy(text: str, virtual: set) -> str:
    """virtual: names of functions that stay, as a template would be no override of them."""

    def found(match) -> str:
        indent, words, kind, name, arguments = match.groups()
        if TEMPLATE.search(text, max(0, match.start() - 200), match.start()) or name in virtual:
            return match[0]
        if re.search(r"\b(friend|explicit|virtual)\b", kind) or re.fullmatch(r"operator *=", name):
            return match[0]
        if not kind.strip() and (not indent or is_special(name, arguments)):
            return match[0]
        return f"{indent}template<int = 0> {words}{kind}{name}({arguments}"

    return INLINE.sub(found, text)


def is_special(name: str, arguments: str) -> bool:
    """Whether a constructor of `name` is one that no template can be: of nothing, or that copies or moves."""
    first = arguments.partition(",")[0]
    return not first.strip() or "=" in first or re.search(rf"\b{name}\b.*&", first) is not None


def is_source(argument: str) -> bool:
    return argument.endswith(".cc") and not argument.startswith("-")


def flags_of(arguments: list) -> list:
    """The flags that hold for a header, too: not what is compiled, what comes out, and what is linked."""
    flags = []
    for argument in arguments:
        known = argument in ("-c", "-S", "-o", "-shared") or argument[:2] in ("-l", "-L")
        if argument.startswith("-") and not known and not argument.startswith("-Wl,"):
            flags.append(argument)
    return flags


def compiled(path: str, compiler: str, flags: list) -> bool:
    """Whether the header `path` could be written and compiled."""
    with open(path, "w") as file:
        file.write(header(os.path.basename(path)[:-2]))
    command = [compiler, *flags, "-x", "c++-header", path, "-o", f"{path}.gch"]
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return result.returncode == 0


def build(home: str, compiler: str, arguments: list) -> None:
    """Makes `home`, named KIND-NUMBER, with KIND.h and KIND.h.gch in it, or empty."""
    kind, parent = os.path.basename(home).split("-")[0], os.path.dirname(home)
    with open(os.path.join(parent, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(home):
            return
        names = os.listdir(parent)
        for name in names:  # of builds that were killed
            if name.startswith("building-"):
                shutil.rmtree(os.path.join(parent, name), ignore_errors=True)
        beside = os.path.join(parent, f"building-{os.path.basename(home)}")
        os.mkdir(beside)
        path, flags = os.path.join(beside, f"{kind}.h"), flags_of(arguments)
        copies = os.path.join(beside, "include")
        if len(names) <= MOST and not (
            kind == "kernel"
            and copied(flags, copies)
            and compiled(path, compiler, [f"-I{copies}", *flags])
        ):
            shutil.rmtree(copies, ignore_errors=True)
            if not compiled(path, compiler, flags):
                for name in os.listdir(beside):
                    os.remove(os.path.join(beside, name))
        os.rename(beside, home)


def compile_core(folder: str, compiler: str, arguments: list) -> int:
    """The exit code; one file to an object, or several to the library that is asked for."""
    if is_made(arguments):
        return 0
    shared = [a for a in flags_of(arguments) if not a.startswith("-I")]
    home = os.path.join(folder, f"core-{zlib.crc32(' '.join(shared).encode())}")
    if not os.path.isdir(home):
        with contextlib.suppress(
            OSError
        ):  # a full disk, or a folder that is outdated by now: without
            build(home, compiler, arguments)
    path = os.path.join(home, "core.h")
    prepared = ["-include", path] if os.path.isfile(f"{path}.gch") else []
    sources = [a for a in arguments if is_source(a)]
    more = ["-O1"] if all(any(part in s for part in LIGHTLY) for s in sources) else []
    more += [WAITING] if any(s.endswith("/parallel_compiler.cc") for s in sources) else []
    compiled = arguments
    with contextlib.suppress(OSError):
        compiled = mended(folder, arguments)
    code = subprocess.run([compiler, *prepared, *compiled, *more]).returncode
    if not code and len(sources) > 1:
        with contextlib.suppress(OSError), open(f"{output_of(arguments)}.made", "w") as file:
            file.write("\n".join(arguments))
    return code


def mended(folder: str, arguments: list) -> list:
    """The arguments, with a copy in `folder` of the file that is compiled where it is one of MENDED."""
    path = next((a for a in arguments if a.endswith(tuple(MENDED))), None)
    if path is None or sys.platform != "linux":
        return arguments
    header, changes = next(MENDED[end] for end in MENDED if path.endswith(end))
    with open(path) as file:
        text = file.read()
    if any(
        text.count(wrong) != 1 for wrong in changes
    ):  # another version of Jittor is compiled as it is
        return arguments
    for wrong, right in changes.items():
        text = text.replace(wrong, right)
    text = f'#line 1 "{path}"\n{text}'
    if header:
        place = os.path.dirname(os.path.abspath(__file__))
        text = f'#include "{os.path.join(place, header)}"\n{text}'
    copy = os.path.join(folder, os.path.basename(path))
    beside = f"{copy}.{os.getpid()}"
    with open(beside, "w") as file:
        file.write(text)
    os.replace(beside, copy)
    return [copy if a == path else a for a in arguments]


def output_of(arguments: list) -> str:
    return arguments[arguments.index("-o") + 1] if "-o" in arguments else ""


def is_made(arguments: list) -> bool:
    """Whether several files were compiled by the same command since they were written; Jittor does it twice, to learn
    what they read."""
    sources, output = [a for a in arguments if is_source(a)], output_of(arguments)
    try:
        with open(f"{output}.made") as file:
            same = file.read() == "\n".join(arguments)
        made = os.stat(output).st_mtime_ns
    except OSError:
        return False
    top = sources[0].rpartition("/src/")[0] + "/src"
    files = [os.path.join(f, name) for f, _, names in os.walk(top) for name in names]
    return same and all(os.stat(file).st_mtime_ns < made for file in files)


if __name__ == "__main__":
    place, compiler, arguments = sys.argv[1], sys.argv[2], sys.argv[3:]
    if os.path.basename(place).startswith("kernel-"):
        build(place, compiler, arguments)
    else:
        sys.exit(compile_core(place, compiler, arguments))
