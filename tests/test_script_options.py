"""Bad data, bad options and a GPU that is not there are one clear error; other processes get the same options."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from scripts import predict, train
from scripts.options import Parser, arguments_of
from tests.commands import TINY, run


@pytest.mark.parametrize("framework", ["torch", "jittor"])
def test_bad_data_is_one_clear_error(framework, coco_folder, tmp_path):
    root = coco_folder()
    file = root / "train2017" / "2.png"
    file.write_bytes(file.read_bytes()[:60])
    options = [
        "--set=transform.train_sizes=64",
        "--set=transform.crop_probability=0",
        "--set=model.num_classes=91",
    ]
    arguments = [
        f"--framework={framework}",
        *TINY,
        *options,
        f"--data={root}",
        "--set=optimiser.batch_size=2",
    ]
    result = run("train", *arguments, f"--out={tmp_path / 'out'}", code=2)
    assert "2.png" in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr
    if framework == "torch":  # once the image is mended, the same command starts: no epoch was lost
        Image.new("RGB", (40, 30)).save(file)
        run("train", *arguments, "--set=optimiser.epochs=1", f"--out={tmp_path / 'out'}")


def test_bad_options(tmp_path):
    result = run("train", "--framework=torch", "--preset=detr_r34", f"--out={tmp_path}", code=2)
    assert "detr_r34" in result.stderr
    result = run("train_pair", *TINY, "--set=optimiser.lr=x", f"--out={tmp_path}", code=2)
    assert "optimiser.lr" in result.stderr
    result = run("plot", tmp_path / "no.txt", tmp_path / "log.txt", code=2)
    assert "no such log" in result.stderr


def test_without_a_gpu_cuda_is_refused(tmp_path):
    from jittor_setup.environment import cuda_usable

    if cuda_usable():
        pytest.skip("this machine has a GPU")
    for framework in ("torch", "jittor"):
        arguments = [
            f"--framework={framework}",
            *TINY,
            "--device=cuda",
            f"--out={tmp_path / framework}",
        ]
        assert "no usable CUDA GPU" in run("train", *arguments, code=2).stderr


@pytest.mark.parametrize("script", [train, predict])
def test_another_process_is_given_the_same_options(script):
    """Every option with a value that is not its default, through the command line and back."""
    parser = Parser()
    script.add_options(parser)
    given = []
    for action in (a for a in parser._actions if a.option_strings and a.dest != "help"):
        flag = action.option_strings[-1]
        if action.nargs == 0:
            given.append(flag)
        elif action.choices:
            given += [flag, next(str(c) for c in action.choices if c != action.default)]
        elif action.nargs == "+":
            given += [flag, "x y", "z"]
        elif action.type in (None, Path):
            given += [
                f"{flag}=-odd name",
                *([f"{flag}=two"] if isinstance(action.default, list) else []),
            ]
        else:
            given += [flag, "0.25" if action.dest == "threshold" else "7"]
    options = parser.parse_args(given)
    told = arguments_of(options, script.add_options)
    assert parser.parse_args(told) == options and len(told) > 10
    changed = parser.parse_args(arguments_of(options, script.add_options, out=Path("elsewhere")))
    assert changed.out == Path("elsewhere")
