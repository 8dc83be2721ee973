"""A small Jittor of three headers, whose kernels are compiled by the programs of jittor_setup."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from jittor_setup import compiling


class Bench:
    """A small Jittor of three headers, and the programs; run(arguments) calls what stands for g++."""

    def __init__(self, folder: Path, monkeypatch):
        self.folder = folder
        self.jittor = folder / "site" / "jittor"
        self.source = self.jittor / "src"
        self.source.mkdir(parents=True)
        (self.source / "var.h").write_text("#pragma once\n#ifndef VALUE\n#define VALUE 1\n#endif\n")
        (self.jittor / "__init__.py").write_text("")
        monkeypatch.syspath_prepend(folder / "site")
        monkeypatch.setattr(compiling.metadata, "version", lambda name: "0")
        for name in (compiling.SWITCH, compiling.COMPILER, compiling.INTERPRETER, "cc_path"):
            monkeypatch.delenv(name, raising=False)
        self.kernel = folder / "jit" / "some_op.cc"
        self.kernel.parent.mkdir()
        self.kernel.write_text('#include "var.h"\nint value() { return VALUE; }\n')
        self.cache = folder / "a cache"

    def prepare(self) -> dict[str, str]:
        found = compiling.util.find_spec("jittor").submodule_search_locations[0]
        assert found == str(self.jittor)
        return compiling.prepare(self.cache)

    def arguments(self, *flags: str) -> list[str]:
        output = str(self.kernel.with_suffix(".so"))
        return [
            str(self.kernel),
            "-std=c++14",
            "-O2",
            f"-I{self.source}",
            *flags,
            "-shared",
            "-fPIC",
            "-o",
            output,
        ]

    def run(self, chosen: dict, *flags: str, **more: str) -> subprocess.CompletedProcess:
        command = [chosen["cc_path"], *self.arguments(*flags)]
        environment = os.environ | chosen | more
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def built(self, chosen: dict) -> list[Path]:
        return sorted(Path(chosen[compiling.SWITCH]).glob("*/*.gch"))

    def value(self) -> int:
        library = shutil.copy(
            self.kernel.with_suffix(".so"), self.folder / f"{os.urandom(4).hex()}.so"
        )
        return ctypes.CDLL(str(library))._Z5valuev()
