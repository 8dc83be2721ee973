"""What NumPy 2 broke in Jittor 1.3.11, mended in a copy of Jittor; the installed package stays as it is.

Jittor's core reads NumPy's structures by their layout of NumPy 1: with NumPy 2 arrays come out as zeros or garbage,
without an error. The core is compiled from sources inside of the package, so a mended copy in Jittor's cache, found
before the installed one, is all it takes.
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

FOLDER = "repaired"  # in Jittor's cache
PACKAGES = ("jittor", "jittor_utils")


@dataclass(frozen=True)
class Repair:
    """Every match of `wrong`, a regular expression, in `file` of the package becomes `right`."""

    file: str
    wrong: str
    right: str
    why: str


REPAIRS = (
    Repair(
        "src/pyjt/numpy.h",
        r"size \*= arr->descr->elsize;",
        "size *= get_type_str(arr).dsize();",
        "PyArray_Descr has another layout: the size of an element read from it is 0 or garbage",
    ),
    Repair(
        "src/pyjt/py_converter.h",
        r"PyArrayDescr_Proxy array_descr;\s*array_descr\.type_num = 5;.*\s*int value;\s*"
        r"PyArray_CastScalarToCtype\(obj, &value, &array_descr\);\s*var_slice->set_int\(value\);",
        "PyObjHolder number(PyNumber_Long(obj));\n        var_slice->set_int(PyLong_AsLong(number.obj));",
        "a[np.int64(1)] hands NumPy a descriptor of the old layout",
    ),
    Repair(
        "transform/__init__.py",
        r"np\.array\(pic, (np\.\w+), copy=False\)",
        r"np.asarray(pic, \1)",
        "copy=False raises where a copy is needed, always for a picture",
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


def needed() -> bool:
    return int(numpy_version().partition(".")[0] or 0) >= 2


def apply(cache: Path) -> Path | None:
    """Puts a mended Jittor first on sys.path where one is needed; its folder, None where none is.

    ImportError when this Jittor is not the one that can be mended.
    """
    if not needed():
        return None
    installed = Path(util.find_spec("jittor").submodule_search_locations[0]).parent
    if installed.parent.name == FOLDER:  # of a parent process
        return installed
    place = mended(installed, cache / FOLDER)
    sys.path.insert(0, str(place))
    return place


def mended(installed: Path, folder: Path) -> Path:
    """A mended copy of the packages in `installed`, below `folder`; made once, whole or not at all."""
    base = installed / "jittor"
    texts = {r.file: base / r.file for r in REPAIRS}
    stats = [p.stat() for p in texts.values() if p.is_file()]
    stamps = [f"{s.st_size} {s.st_mtime_ns}" for s in stats]
    home = folder / digest(metadata.version("jittor"), str(installed), repr(REPAIRS), *stamps)
    if home.is_dir():
        return home
    changed = {}
    for repair in REPAIRS:
        path = base / repair.file
        text = changed.get(path) or (path.read_text() if path.is_file() else "")
        changed[path], count = re.subn(repair.wrong, repair.right, text)
        if not count:
            raise ImportError(
                f"Jittor {metadata.version('jittor')} with NumPy {numpy_version()}: {repair.file} is not the one that "
                "can be mended (1.3.11); pip install 'numpy<2'"
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
