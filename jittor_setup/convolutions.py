"""oneDNN's convolutions, forward, by the kernels that its backward ones belong to.

oneDNN 2.2 prefers kernels named "brgconv" on processors with AVX-512. It has no quick way into the layout of their
weights, padded to 48 channels, and a slow one into that of their images: bringing numbers there and back took longer
than the convolutions. The next kernels of its list take images in blocks of 16 channels, as the gradients do.

Jittor compiles its operators for oneDNN from sources in the package; a folder with mended ones, in its cache, is put in
their place while Jittor is imported. What is installed, and the core, stay as they are.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from functools import wraps
from pathlib import Path

from jittor_setup.compiling import digest, move

FOLDER, FILE = "onednn-operators", "mkl_conv_op.cc"
MODULE = "gen_ops_mkl_blocked"  # of Python: another than that of the sources in the package
CHOSEN = r"(auto conv1_prim_desc = convolution_forward::primitive_desc\(conv1_desc, eng\);)"
PASSED_OVER = r"""\1
    while (!strncmp(conv1_prim_desc.impl_info_str(), "brgconv", 7) && conv1_prim_desc.next_impl());"""
INCLUDE = '#include "mkl_conv_op.h"'


def mended(sources: Path, cache: Path) -> Path:
    """A copy of the operators' folder with the choice mended, made once; `sources` where there is no such choice."""
    text, count = re.subn(CHOSEN, PASSED_OVER, (sources / FILE).read_text())
    if count != 1:
        return sources
    text = text.replace(INCLUDE, f"#include <cstring>\n{INCLUDE}", 1)
    others = {p.name: p.read_text() for p in sorted(sources.iterdir()) if p.suffix != ".pyc"}
    home = cache / FOLDER / digest(*others.values(), text)
    if home.is_dir():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=home.parent))
    try:
        for name, content in (others | {FILE: text}).items():
            (staging / name).write_text(content)
        staging.chmod(0o755)
        move(staging, home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return home


def install(compiler, cache: Path) -> None:
    """Makes `jittor.compiler`, which has not yet compiled oneDNN's operators, take the mended ones."""
    before = compiler.compile_custom_ops

    @wraps(before)
    def compile_custom_ops(filenames, *arguments, **named):
        paths = [Path(name) for name in filenames]
        if FILE in (path.name for path in paths):
            sources = paths[0].parent
            home = mended(sources, cache)
            filenames = [str(home / path.name) for path in paths]
            named = named if home == sources else named | {"gen_name_": MODULE}
        return before(filenames, *arguments, **named)

    compiler.compile_custom_ops = compile_custom_ops
