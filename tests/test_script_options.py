"""Bad data, bad options and a GPU that is not there are one clear error; other processes get the same options."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from neutral.errors import InputError
from scripts import predict, train
from scripts.options import Parser, add_config_options, handed
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
def test_another_process_is_given_the_same_options(script, tmp_path):
    """Every option with a value that is not its default, through JSON and back."""
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
    told = handed(tmp_path / "options.json", options, script.add_options)
    assert parser.parse_args(told) == options and len(vars(options)) > 10
    told = handed(tmp_path / "other.json", options, script.add_options, out=Path("elsewhere"))
    assert vars(parser.parse_args(told)) == vars(options) | {"out": Path("elsewhere")}


def test_another_command_has_its_own_defaults_for_the_rest(tmp_path):
    """train_pair has predict draw pictures: options of the configuration are those of the training."""
    parser, trained = Parser(), Parser()
    predict.add_options(parser)
    train.add_options(trained)
    given = ["--preset=scenes_detr", "--seed=3", "--set=optimiser.lr=1e-3"]
    options = trained.parse_args(["--framework=torch", *given, "--out=run", "--weights=old.pth"])
    own = {"framework": "jittor", "weights": Path("new.pth"), "out": Path("found")}
    told = handed(tmp_path / "options.json", options, add_config_options, **own)
    same = ["--framework=jittor", *given, "--weights=new.pth", "--out=found"]
    assert parser.parse_args(told) == parser.parse_args(same)


def test_options_that_were_handed_on_badly_are_refused(tmp_path):
    parser = Parser()
    train.add_options(parser)
    (tmp_path / "half.json").write_text('{"framework": "torch"}')
    with pytest.raises(InputError, match=r"half.json: preset is missing"):
        parser.parse_args(["--handed", str(tmp_path / "half.json")])
    with pytest.raises(InputError, match=r"none.json: no such file"):
        parser.parse_args(["--handed", str(tmp_path / "none.json")])
