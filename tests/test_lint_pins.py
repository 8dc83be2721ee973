"""Releases that do not go together, as `parity lint FOLDER` reads them in a port's requirements, setup and README."""

from __future__ import annotations

import pytest

from parity.atlas.lint.run import lint_path
from tests.commands import lint

PORT = "import jittor as jt\n"

APART = {  # a file, its text, the line that is told, and what of it
    "torchvision of another generation": (
        "requirements.txt",
        "torch==2.4.1\ntorchvision==0.20.0\n",
        2,
        "it wants torch 2.5.0",
    ),
    "torchaudio of another patch": (
        "requirements.txt",
        "torch==2.0.1\ntorchaudio==2.0.1\n",
        2,
        "it wants torch 2.0.0",
    ),
    "Python too old, across the lines of a README": (
        "README.md",
        "# Install\n```\nconda create -n d python=3.7\n# then\npip install torch==2.4.1\n```\n",
        5,
        "needs Python 3.8 to 3.12",
    ),
    "Python too new": (
        "environment.yml",
        "dependencies:\n  - python=3.12\n  - pip:\n    - torch==1.8.0\n",
        4,
        "needs Python 3.6 to 3.9",
    ),
    "conda's single sign": (
        "README.md",
        "conda install pytorch==1.10.1 torchvision=0.9.1 cudatoolkit=11.3 -c pytorch\n",
        1,
        "it wants torch 1.8.1",
    ),
    "NumPy 2": ("requirements.txt", "jittor\nnumpy>=2.0\n", 2, "numpy<2"),
    "a Jittor that takes NumPy 2 and cannot run with it": (
        "requirements.txt",
        "jittor==1.3.8.5\nnumpy>=1.19\n",
        2,
        "does not say so",
    ),
    "PyTorch of before NumPy 2": (
        "requirements.txt",
        "numpy==2.1.0\ntorch==2.1.0\n",
        1,
        "was built for NumPy 1",
    ),
    "OpenCV that wants NumPy 2": (
        "pyproject.toml",
        '[project]\nrequires-python = ">=3.10"\ndependencies = [\n  "jittor==1.3.11.0",\n'
        '  "opencv-python==4.12.0.88",\n]\n',
        5,
        "opencv-python<4.12",
    ),
    "two pins of one": (
        "requirements.txt",
        "numpy==1.24.3\ntqdm\nnumpy==1.26.4\n",
        3,
        "no release is both",
    ),
    "setup.py": (
        "setup.py",
        "import setuptools\nsetuptools.setup(\n    install_requires=[\n        'jittor',\n"
        "        'numpy>=2',\n    ],\n)\n",
        5,
        "numpy<2",
    ),
    "setup.cfg": (
        "setup.cfg",
        "[options]\npython_requires = ==3.7.*\ninstall_requires =\n    numpy==1.24.0\n",
        4,
        "needs Python 3.8 or newer",
    ),
    "poetry": (
        "pyproject.toml",
        '[tool.poetry.dependencies]\npython = "^3.9"\ntorch = "^1.8"\ntorchvision = "0.15.2"\n',
        4,
        "it wants torch 2.0.1",
    ),
    "PowerShell's UTF-16": (
        "requirements.txt",
        "\ufefftorch==1.13.1\r\ntorchvision==0.9.0\r\n".encode("utf-16-le"),
        2,
        "it wants torch 1.8.0",
    ),
}
TOGETHER = {
    "pairs": (
        "requirements.txt",
        "torch==1.10.0\ntorchvision==0.11.1\ntorchaudio==0.10.0\nnumpy==1.21.6\n",
    ),
    "bounds": (
        "requirements.txt",
        "torch>=1.5\ntorchvision>=0.6.0\nnumpy>=1.21,<1.25\njittor>=1.3\n",
    ),
    "local versions": (
        "requirements.txt",
        "torch==2.4.0+cu118\ntorchvision==0.19.0+cu118  # CUDA\n",
    ),
    "a Jittor that asks for NumPy 1 itself": ("requirements.txt", "jittor==1.3.9.14\nnumpy\n"),
    "Python that has no NumPy 2": (
        "README.md",
        "Python 3.8\n\npip install jittor==1.3.8.5 numpy\n",
    ),
    "two environments": (
        "README.md",
        "conda create -n a python=3.7\npip install jittor\nconda create -n b python=3.10\npip install torch==2.4.1\n",
    ),
    "addresses, options and markers": (
        "requirements.txt",
        "-i https://host.example/simple\ntorch @ file:///a/b\nnumpy==2.0; python_version>'3.9'\n-e .\njittor\n",
    ),
    "said to be so": ("requirements.txt", "jittor\nnumpy>=2  # noqa: pins\n"),
    "prose": ("README.md", "Tested with torch 1.8.0, torchvision==0.20.0 and numpy 2.\n"),
    "nonsense": ("requirements.txt", "torch=1.8\n=> numpy\n\x00\x01\n[broken\nnumpy==abc\n"),
    "broken TOML": ("pyproject.toml", "[project\ndependencies = [\n"),
}


def told(folder, name, content, hints=False):
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)
    (folder / "port.py").write_text(PORT)
    return [f for f in lint_path(folder, hints).findings if f.entry == "pins"]


@pytest.mark.parametrize("case", APART)
def test_what_does_not_go_together(tmp_path, case):
    name, content, line, text = APART[case]
    (found,) = told(tmp_path, name, content)
    assert (found.path.name, found.line) == (name, line) and text in found.message


@pytest.mark.parametrize("case", TOGETHER)
def test_what_does(tmp_path, case):
    assert told(tmp_path, *TOGETHER[case]) == []


def test_files_of_one_folder_and_what_a_readme_installs(tmp_path, capsys):
    """setup.py beside requirements.txt, and requirements that a README's environment takes."""
    (tmp_path / "setup.py").write_text("setup(install_requires=['numpy>=1.22'])\n")
    (found,) = told(tmp_path, "requirements.txt", "numpy==1.19.5\n")
    assert "numpy>=1.22" in str(found) and "no release is both" in found.message
    (tmp_path / "setup.py").unlink()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "requirements.txt").write_text("torch==2.4.1\n")
    readme = "conda create -n a python=3.7\ncd half\npip install -r requirements.txt\n"
    (found,) = told(tmp_path, "README.md", readme)
    assert found.path.parent.name == "half" and "README.md:1" in found.message
    assert lint(capsys, tmp_path)[0] == 1 and lint(capsys, "--ignore", "pins", tmp_path)[0] == 0
    assert lint(capsys, tmp_path / "half" / "requirements.txt")[0] == 0, "a file of its own"
    (tmp_path / "port.py").write_text("import torch\n")
    assert lint(capsys, tmp_path)[0] == 0, "no port of Jittor"


def test_what_hangs_on_the_interpreter_is_a_hint(tmp_path):
    text = "jittor==1.3.9.14\nopencv-python==4.12.0.88\n"
    assert told(tmp_path, "requirements.txt", text) == []
    (found,) = told(tmp_path, "requirements.txt", text, hints=True)
    assert found.level == "hint" and found.line == 2
