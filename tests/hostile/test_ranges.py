"""Every number has a range, declared in the configuration or with the option, checked before anything starts."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import math
import re
import sys
import typing

import pytest

from door.ranges import Range
from neutral import config as configuration
from neutral.config import PRESETS, DetrConfig, FasterRcnnConfig, preset, validate, with_overrides
from neutral.errors import InputError
from scripts import fields
from tests.conftest import ROOT
from tests.hostile.asking import exit_of, refused

SCRIPTS = sorted(p.stem for p in (ROOT / "scripts").glob("*.py") if "def main" in p.read_text())


def numeric(cls, path=""):
    """(name, the range or None) of every number in a configuration class."""
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        union = hint == DetrConfig | FasterRcnnConfig
        for part in typing.get_args(hint) if union else (hint,):
            if dataclasses.is_dataclass(part):
                yield from numeric(part, f"{path}{name}.")
                continue
            while typing.get_origin(part) is tuple:
                part = typing.get_args(part)[0]
            if part in (int, float):
                yield path + name, None
            elif isinstance(getattr(part, "__metadata__", ("",))[0], Range):
                yield path + name, part.__metadata__[0]


def test_every_number_of_the_configuration_has_a_range():
    found = dict(numeric(configuration.Config))
    assert len(found) > 100
    assert [name for name, within in found.items() if within is None] == []


@pytest.mark.parametrize("detector", ["scenes_detr", "scenes_frcnn"])
def test_no_number_outside_of_its_range_is_taken(detector):
    base, tried = preset(detector), 0
    values = configuration.to_dict(base)
    for name, within in numeric(configuration.Config):
        node = values
        for part in name.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if node is None:
            continue
        outside = [math.nan, math.inf, -math.inf]
        outside += [within.low - 1] if math.isfinite(within.low) else []
        outside += [max(within.high + 1, within.high * 2)] if math.isfinite(within.high) else []
        outside += [within.low] if within.above else []
        outside += [within.high] if within.below else []
        many = (
            len(node) if isinstance(node, tuple) and node and not isinstance(node[0], tuple) else 1
        )
        for value in outside:
            text = ",".join([str(value)] * many)
            with pytest.raises(InputError, match=re.escape(name.rpartition(".")[2])):
                with_overrides(base, [f"{name}={text}"])
            tried += 1
    assert tried > 300


def test_presets_are_within_their_ranges():
    for name in PRESETS:
        validate(preset(name))


@pytest.mark.parametrize(
    "override",
    [
        *("optimiser.lr=-1", "optimiser.lr=1e400", "optimiser.epochs=0", "optimiser.epochs=1.5"),
        *("optimiser.betas=0.9", "optimiser.betas=0.9,0.99,0.999", "transform.mean=0", "seed=-1"),
        *("transform.train_sizes=", "transform.crop_min=5000", "data.scenes.min_side=100"),
        *("data.scenes.width=30", "transform.flip_probability=2", "model.num_queries=-5"),
        *("data.scenes.crowd_fraction=0.99", "optimiser.epochs=" + "9" * 6000),
    ],
)
def test_what_cannot_be(override):
    changed = [override]
    if "crop_min" in override:
        changed.append("transform.crop_probability=0.5")
    with pytest.raises(
        InputError, match=re.escape(override.partition("=")[0].rpartition(".")[0] or "seed")
    ):
        with_overrides(preset("scenes_detr"), changed)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"optimiser": 3}, "optimiser"),
        ({"optimiser": {"lr": "fast"}}, "optimiser.lr"),
        ({"optimiser": {"epochs": 2.5}}, "optimiser.epochs"),
        ({"optimiser": {"bias_decay": None}}, "optimiser.bias_decay"),
        ({"model": []}, "model"),
        ({"model": {"detector": "yolo"}}, "yolo"),
        ({"data": {"root": 5}}, "data.root"),
        ({"optimiser": {"epochs": True}}, "optimiser.epochs"),
        ({"transform": {"std": "x"}}, "transform.std"),
    ],
)
def test_a_configuration_of_json(values, told):
    """As a checkpoint's metadata hold it."""
    with pytest.raises(InputError, match=told):
        configuration.from_dict({"name": "x"} | values)


TRAIN = ("--framework", "torch", "--preset", "scenes_detr", "--out", "nowhere")


@pytest.mark.parametrize(
    ("script", "arguments", "told"),
    [
        ("train", (*TRAIN, "--max-steps", "0"), "--max-steps: '0': give an integer, 1 or more"),
        ("train", (*TRAIN, "--evaluate-every", "0"), "--evaluate-every: '0'"),
        ("train", (*TRAIN, "--val-images", "-1"), "--val-images: '-1'"),
        ("train", (*TRAIN, "--keep", "-1"), "--keep: '-1'"),
        ("train", (*TRAIN, "--workers", "1e9"), "--workers: '1e9'"),
        (
            "train",
            (*TRAIN, "--cache-images", "nan"),
            "--cache-images: 'nan': give a number, 0 or more",
        ),
        ("train", (*TRAIN, "--seed", "-3"), "--seed: '-3'"),
        ("train", (*TRAIN, "--ranks", "0"), "--ranks: '0'"),
        ("train", (*TRAIN, "--set", "optimiser.lr=-1"), "optimiser.lr=-1.0: give 0 to"),
        ("train_pair", (*TRAIN[2:], "--tube", "-1"), "--tube: '-1'"),
        ("train_pair", (*TRAIN[2:], "--seeds", "0,-1"), "--seeds: seed=-1"),
        ("predict", ("--threshold", "nan", "x.jpg"), "--threshold: 'nan': give a number, 0 to 1"),
        ("predict", ("--threshold", "2", "x.jpg"), "--threshold: '2'"),
        ("predict", ("--count", "0"), "--count: '0'"),
        ("gpu_check", ("--seconds", "-1"), "--seconds: '-1': give a number, above 0"),
        ("bench", ("--rounds", "0"), "--rounds: '0'"),
        ("bench_weights", ("--rounds", "0"), "--rounds: '0'"),
        ("bench_kernels", ("--kernels", "0"), "--kernels: '0'"),
        ("bench_peers", ("--size", "1000000x64"), "--size 1000000x64"),
    ],
)
def test_options(monkeypatch, script, arguments, told):
    assert told in refused(monkeypatch, script, *arguments)


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_option_takes_a_number_without_a_range(monkeypatch, script):
    """Every parser that a script makes, its subcommands' too, is looked through."""
    bare = []
    add = argparse._ActionsContainer.add_argument

    def watched(self, *names, **options):
        if options.get("type") in (int, float):
            bare.append(names)
        return add(self, *names, **options)

    monkeypatch.setattr(argparse._ActionsContainer, "add_argument", watched)
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit):
        importlib.import_module(f"scripts.{script}").main()
    assert bare == []


def test_help_and_the_docs_list_the_ranges(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", "--help"])
    with pytest.raises(SystemExit):
        importlib.import_module("scripts.train").main()
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "lr (0 to 1000000000000000019884624838656)" in told and "flip_probability (0 to 1)" in told
    )
    assert "training steps per epoch, at most (1 or more)" in told
    assert fields.PAGE.read_text() == fields.page(), (
        "python -m scripts.fields --docs writes it anew"
    )


def test_a_command_says_one_line_and_ends_with_2(tmp_path):
    out = tmp_path / "out"
    arguments = ("--framework", "torch", "--preset", "scenes_detr", "--out", out)
    code, errors, _ = exit_of("train", *arguments, "--set", "optimiser.lr=nan")
    assert (code, len(errors)) == (
        2,
        1,
    ) and "optimiser.lr=nan: give 0 to 1000000000000000019884624838656" in errors[0]
    assert not out.exists()
