"""What is wrong in Jittor 1.3.11 with NumPy 2, with Python 3.13 and on CUDA, mended in a copy.

Jittor's core reads NumPy's structures by their layout of NumPy 1: with NumPy 2 arrays come out as zeros or garbage,
without an error. On CUDA it computes functions of float64 in float32. The core is compiled from sources inside of the
package, so a mended copy in Jittor's cache, found before the installed one, is all it takes; what is installed stays
as it is.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from jittor_setup.compiling import digest, move
from jittor_setup.environment import cuda_usable

FOLDER = "repaired"  # in Jittor's cache
PACKAGES = ("jittor", "jittor_utils")


@dataclass(frozen=True)
class Repair:
    """Every match of `wrong`, a regular expression, in `file` becomes `right`; for `what` from version `since` on.

    `what` is "numpy", "python", or "cuda", whose version is (1, 0) where a driver answers and (0, 0) elsewhere.
    """

    file: str
    wrong: str
    right: str
    why: str
    what: str = "numpy"
    since: tuple[int, int] = (2, 0)


SCALARS = "\n    if (a->dtype() == ns_float64) alpha_p = (void*)&alpha, beta_p = (void*)&beta;"
REPAIRS = (
    Repair(
        "jittor/src/pyjt/numpy.h",
        r"size \*= arr->descr->elsize;",
        "size *= get_type_str(arr).dsize();",
        "PyArray_Descr has another layout: the size of an element read from it is 0 or garbage",
    ),
    Repair(
        "jittor/src/pyjt/numpy.cc",
        r"fill\(PyArray_CopyInto, 82\);",
        "fill(PyArray_CopyInto, 50);",
        "PyArray_CopyInto has another place in NumPy's table: an array with gaps or reversed axes crashes",
    ),
    Repair(
        "jittor/src/pyjt/py_converter.h",
        r"PyArrayDescr_Proxy array_descr;\s*array_descr\.type_num = 5;.*\s*int value;\s*"
        r"PyArray_CastScalarToCtype\(obj, &value, &array_descr\);\s*var_slice->set_int\(value\);",
        "PyObjHolder number(PyNumber_Long(obj));\n        var_slice->set_int(PyLong_AsLong(number.obj));",
        "x[np.int64(1)] hands NumPy a descriptor of the old layout",
    ),
    Repair(
        "jittor/transform/__init__.py",
        r"np\.array\(pic, (np\.\w+), copy=False\)",
        r"np.asarray(pic, \1)",
        "copy=False raises where a copy is needed, always for a picture",
    ),
    Repair(
        "jittor/transform/function_pil.py",
        r"np\.uint8\(hue_factor \* 255\)",
        "np.uint8(int(hue_factor * 255) % 256)",
        "a negative number is no uint8 any more: turning a picture's hue back raises",
    ),
    Repair(
        "jittor/linalg.py",
        r"np\.linalg\.solve\(a, b\)",
        "np.linalg.solve(a, b[..., None] if b.ndim == a.ndim - 1 else b).reshape(b.shape)",
        "solve takes a batch of vectors for a matrix",
    ),
    Repair(
        "jittor/linalg.py",
        r"updim\(np\.linalg\.solve\(T\(inp\), dout\)\)",
        "np.linalg.solve(T(inp), updim(dout))",
        "the gradient of solve does",
    ),
    *(
        Repair(
            file,
            rf"mod = locals\(\)\[{name}\]",
            rf"mod = sys.modules[{name}]",
            "what exec imports is no longer found in locals(): oneDNN's operators cannot be loaded",
            "python",
            (3, 13),
        )
        for file, name in (("jittor/compiler.py", "gen_name"), ("jittor_utils/__init__.py", "hash"))
    ),
    *(
        Repair(
            "jittor/src/type/common_op_type.cc",
            wrong,
            right,
            "functions of float64 are computed in float32 by CUDA's kernels, to 7 digits",
            "cuda",
            (1, 0),
        )
        for wrong, right in (
            # log, exp, sqrt, erfinv; floor_int and others, whose result is an integer; sin and others
            (
                r'"::(\w+)f\(\(\$1\)\(\$2\)\)"',
                r'"@if(@strcmp($1,float64)==0,::\1(($1)($2)),::\1f(($1)($2)))"',
            ),
            (
                r'(_int", )"\(\(\$1\) ::(\w+)f\(\(\$2\)\)\)"',
                r'\1"@if(@strcmp($3,float64)==0,(($1) ::\2(($2))),(($1) ::\2f(($2))))"',
            ),
            (
                r'"\(\(\$1\) ::(\w+)f\((\(\$1\))?\(\$2\)\)\)"',
                r'"@if(@strcmp($1,float64)==0,(($1) ::\1(($1)($2))),(($1) ::\1f(\2($2))))"',
            ),
            (r"::expf(\(\(::min)", r"@if(@strcmp($1,float64)==0,::exp,::expf)\1"),
        )
    ),
    Repair(
        "jittor/other/code_softmax.py",
        r"if not jt\.flags\.use_cuda:",
        'if not jt.flags.use_cuda or str(a.dtype) == "float64":',
        "nn.softmax of float64 is computed in float32 by CUDA's kernel",
        "cuda",
        (1, 0),
    ),
    Repair(
        "jittor/depthwise_conv.py",
        r"typedef cub::WarpReduce<T> WarpReduce;[^}]*(atomicAdd\(sum, value\);)",
        r"\1",
        "a depthwise convolution's gradient adds up whole warps, also those that have threads missing",
        "cuda",
        (1, 0),
    ),
    Repair(
        "jittor/extern/cuda/cub/ops/cub_cumsum_op.cc",
        r"for \(int block_offset = offset; block_offset < num_items; block_offset (\+= [^)]*\) \{)",
        r"for (int start = 0; start < num_items; start \1\n        int block_offset = start + offset;",
        "threads beyond the end leave a sum that the whole block makes: running sums of float64 come out wrong",
        "cuda",
        (1, 0),
    ),
    *(
        Repair(
            f"jittor/extern/cuda/cublas/ops/{name}_op.cc",
            r"(cublasComputeType_t computeType = )CUBLAS_COMPUTE_32F;",
            r"\1a->dtype() == ns_float64 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;" + pointers,
            "cuBLAS is asked for sums of float32 and refuses them for float64",
            "cuda",
            (1, 0),
        )
        for name, pointers in (
            ("cublas_matmul", SCALARS),
            ("cublas_batched_matmul", SCALARS),
            ("cublas_acc_matmul", ""),
        )
    ),
)


def numpy_version() -> str:
    """Of the NumPy that is, or would be, imported; "" without one."""
    loaded = sys.modules.get("numpy")
    if loaded is not None:
        return loaded.__version__
    try:
        return metadata.version("numpy")
    except metadata.PackageNotFoundError:
        return ""


def needed() -> tuple[Repair, ...]:
    """Those that this Python, its NumPy and this machine ask for."""
    numpy = [int(part) for part in numpy_version().split(".")[:2] if part.isdigit()]
    cuda = (int(cuda_usable()), 0)
    versions = {"numpy": tuple(numpy), "python": sys.version_info[:2], "cuda": cuda}
    return tuple(repair for repair in REPAIRS if versions[repair.what] >= repair.since)


def apply(cache: Path) -> Path | None:
    """Puts a mended Jittor first on sys.path where one is needed; its folder, None where none is.

    ImportError when this Jittor is not the one that can be mended.
    """
    chosen = needed()
    if not chosen:
        return None
    installed = Path(util.find_spec("jittor").submodule_search_locations[0]).parent
    if installed.parent.name == FOLDER:  # of a parent process
        return installed
    place = mended(installed, cache / FOLDER, chosen)
    sys.path.insert(0, str(place))
    return place


def mended(installed: Path, folder: Path, chosen: tuple[Repair, ...]) -> Path:
    """A copy of the packages in `installed` with these repairs, below `folder`; made once, whole or not at all."""
    version, files = metadata.version("jittor"), {installed / r.file for r in chosen}
    texts = [path.read_text() for path in sorted(files) if path.is_file()]
    home = folder / digest(version, str(installed), repr(chosen), *texts)
    if home.is_dir():
        return home
    changed = {}
    for repair in chosen:
        path = installed / repair.file
        text = changed.get(path) or (path.read_text() if path.is_file() else "")
        changed[path], count = re.subn(repair.wrong, repair.right, text)
        if not count:
            raise ImportError(
                f"Jittor {version}: {repair.file} cannot be mended for {repair.what} "
                f"{repair.since[0]}.{repair.since[1]} and later; pip install jittor==1.3.11.0"
            )
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=folder))
    try:
        for package in PACKAGES:
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(installed / package, staging / package, ignore=ignore)
        for path, text in changed.items():
            (staging / path.relative_to(installed)).write_text(text)
        staging.chmod(0o755)
        move(staging, home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return home
