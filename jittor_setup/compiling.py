"""Kernels compiled with prepared headers: a third of the time, the same machine code.

A kernel of Jittor is some 40 lines behind 50,000 of headers. `prepare` puts three small programs into Jittor's
cache and makes Jittor call them in place of its compiler (compiler.sh) and of the Python that runs its assembler
tuner (tuner.sh). They pass on what they are given, plus the headers, compiled once per environment (build.py).

What they do not know goes Jittor's own way: clang, nvcc, other flags, headers that cannot be compiled. g++ itself
ignores a compiled header that does not fit its flags. JITTOR_SETUP_HEADERS=0 switches it off; commands, and with them
the keys of Jittor's cache, stay the same.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from importlib import metadata, util
from pathlib import Path

SWITCH = "JITTOR_SETUP_HEADERS"  # "0": off; set here to the folder of compiled headers
COMPILER = "JITTOR_SETUP_CXX"  # the real one
INTERPRETER = "JITTOR_SETUP_PYTHON"
SOURCES = {
    "compiler.sh": "g++",
    "tuner.sh": "python",
    "build.py": "build.py",
    "kernel_lock.h": "kernel_lock.h",
    "turns.h": "turns.h",
}


def prepare(cache: Path) -> dict[str, str]:
    """What the environment should say before Jittor is imported; {} where Jittor goes its own way.

    cache: Jittor's folder, `.cache/jittor` below its home. Repeated calls, also in child processes, give the same.
    """
    compiler = real_compiler()
    if not is_gcc(compiler):
        return {}
    programs = install(cache / "compiler")
    chosen = {"cc_path": str(programs / "g++"), COMPILER: compiler, INTERPRETER: sys.executable}
    if os.environ.get(SWITCH) == "0":
        return chosen
    return chosen | {SWITCH: str(headers(cache / "headers", compiler))}


@contextmanager
def locked(path: Path):
    """Inside, this process alone holds the file `path`; the others wait, and go on when it dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def real_compiler() -> str:
    """Path of the compiler that the user has chosen (cc_path, else g++), or "" when there is none."""
    chosen = os.environ.get("cc_path") or "g++"
    if is_ours(Path(chosen)):  # inherited from a parent process
        chosen = os.environ.get(COMPILER) or "g++"
    return shutil.which(chosen) or ""


def is_gcc(compiler: str) -> bool:
    return "g++" in Path(compiler).name and "clang" not in Path(compiler).name


def install(folder: Path) -> Path:
    """The programs, in a folder that is named by their content."""
    here = Path(__file__).resolve().parent
    texts = {name: (here / source).read_text() for source, name in SOURCES.items()}
    home = folder / digest(*texts.values())
    if home.is_dir():
        return home
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=folder))
    staging.chmod(0o755)
    for name, text in texts.items():
        (staging / name).write_text(text)
        (staging / name).chmod(0o755)
    move(staging, home)
    return home


def headers(folder: Path, compiler: str) -> Path:
    """Where compiled headers of this environment lie; another one as soon as anything changes that they hold."""
    jittor = util.find_spec("jittor").submodule_search_locations[0]
    environment = folder / digest(jittor, sysconfig.get_path("include"), compiler)
    maker = (Path(__file__).resolve().parent / SOURCES["build.py"]).read_text()
    home = environment / digest(processor(), maker, *stamps(compiler, Path(jittor) / "src"))
    if not home.is_dir():
        shutil.rmtree(environment, ignore_errors=True)  # outdated ones are large
        home.mkdir(parents=True, exist_ok=True)
    return home


def stamps(compiler: str, sources: Path) -> list[str]:
    """What tells that the compiler or a header has changed, cheap enough for each start."""
    files = [Path(compiler).resolve(), *sorted(sources.rglob("*.h"))]
    found = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return [metadata.version("jittor"), *map(repr, found)]


def processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def move(staging: Path, home: Path) -> None:
    """`staging` becomes `home`, unless another process was faster: its files are as good."""
    try:
        staging.rename(home)
    except OSError:
        if not home.is_dir():
            raise
        shutil.rmtree(staging, ignore_errors=True)


def tuner() -> str:
    """What Jittor's flag `python_path` should be, as a word of a shell; "" for what it is."""
    path = Path(os.environ.get("cc_path", "")).parent / SOURCES["tuner.sh"]
    return shlex.quote(str(path)) if is_ours(path) and path.is_file() else ""


def lock_kernels(core: str, path: str) -> bool:
    """Whether each kernel has a lock of its own from now on (kernel_lock.h), in Jittor's lock file `path`.

    core: the file of Jittor's core, loaded by now. One that was not compiled by build.py keeps Jittor's one lock.
    """
    switch = getattr(ctypes.CDLL(core), "jittor_setup_lock_kernels", None)
    if switch is None:
        return False
    switch.argtypes, switch.restype = [ctypes.c_char_p], ctypes.c_bool
    return switch(os.fsencode(path))


def is_ours(program: Path) -> bool:
    return program.parent.parent.name == "compiler"


def describe() -> str:
    """Whether kernels are compiled with prepared headers, and why not."""
    if os.environ.get(SWITCH) == "0":
        return f"off: {SWITCH}=0"
    return "on" if tuner() else f"off: {real_compiler() or 'no compiler'} is not g++"
