"""Options that the command lines share, and the configuration that they make."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from door import schema
from door.ranges import SEEDS, Range, add_number
from neutral.config import PRESETS, Config, preset, ranges, validate, with_overrides
from neutral.data.images import MAX_PIXELS
from neutral.errors import InputError
from neutral.run import SCORES

HANDED = "--handed"  # before the file of another process's options, see `handed`


class Parser(argparse.ArgumentParser):
    """A command line whose errors are one line each, as all of a script's are (see `run_main`)."""

    def error(self, message: str):
        raise InputError(f"{message}; see --help")

    def parse_args(self, args: Sequence[str] | None = None, namespace=None) -> argparse.Namespace:
        """As argparse has it; of `--handed FILE` what another process of ours wrote there."""
        given = sys.argv[1:] if args is None else args
        if len(given) != 2 or given[0] != HANDED:
            return super().parse_args(args, namespace)
        told, options = schema.read(given[1], dict[str, object]), argparse.Namespace()
        for action in (a for a in self._actions if a.default is not argparse.SUPPRESS):
            any_number = action.nargs == "*"  # none is a list, as argparse has it
            if action.required and not any_number and action.dest not in told:
                self.error(f"{given[1]}: {action.dest} is missing")
            value = told.get(action.dest, [] if any_number else action.default)
            is_path = action.type is Path and isinstance(value, str)
            setattr(options, action.dest, Path(value) if is_path else value)
        return options


def fields_help() -> str:
    """The fields that --set takes, with their ranges or choices, group by group."""
    groups: dict[str, list[str]] = {}
    for name, (_, told) in ranges().items():
        group, _, leaf = name.rpartition(".")
        groups.setdefault(group, []).append(f"{leaf} ({told})" if told else leaf)
    lines = ["fields of --set with their ranges; those of model are the preset's detector's:"]
    for group, leaves in groups.items():
        text = f"{group or 'by itself'}: {'; '.join(leaves)}"
        lines += textwrap.wrap(text, 110, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = fields_help(), argparse.RawDescriptionHelpFormatter
    group = parser.add_argument_group("model and data")
    group.add_argument("--preset", required=True, help=f"one of {', '.join(PRESETS)}")
    group.add_argument(
        "--data", help="COCO directory, a year of VOC (as VOC2007), or VOCdevkit; scenes need none"
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="as optimiser.lr=1e-3; repeatable",
    )
    add_number(
        group, "--seed", int, SEEDS, help="one number for weights, order, augmentation and dropout"
    )
    group.add_argument(
        "--deterministic",
        action="store_true",
        help="only algorithms that give the same bits in every run (on CPU they do so anyway)",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the run")
    group.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    add_number(
        group,
        "--ranks",
        int,
        Range(1, 1024),
        default=1,
        metavar="N",
        help="processes, with a GPU each on --device cuda, that train together, each on its share of the images "
        "(optimiser.batch_size is of each): torchrun starts PyTorch's, mpirun Jittor's",
    )
    group.add_argument("--out", type=Path, required=True, help="folder of the run")
    group.add_argument(
        "--weights",
        type=Path,
        help="start from these (ours, or of any known source, see convert_weights) instead of random ones",
    )
    add_source_options(parser)
    group.add_argument(
        "--reset-heads",
        action="store_true",
        help="begin the class head anew when --weights has another number of classes",
    )
    add_number(group, "--max-steps", int, Range(1), help="training steps per epoch, at most")
    add_number(group, "--val-images", int, Range(1), help="validation images, at most")
    add_number(group, "--evaluate-every", int, Range(1), default=1, metavar="EPOCHS")
    _add_resuming(group)
    group.add_argument(
        "--full-evaluation",
        action="store_true",
        help="the last evaluation is of all images, --val-images or not",
    )
    _add_keeping(group)
    add_loading_options(parser)


def _add_resuming(group) -> None:
    group.add_argument("--resume", action="store_true", help="continue the run in --out")
    group.add_argument(
        "--resume-anyway",
        action="append",
        default=[],
        metavar="FIELD",
        help="continue it though this differs from its checkpoint, as data.train or optimiser.lr; repeatable",
    )


def _add_keeping(group) -> None:
    add_number(
        group,
        "--keep",
        int,
        Range(0),
        default=0,
        metavar="N",
        help="keep the checkpoints of the last N epochs",
    )
    group.add_argument(
        "--best-by",
        choices=tuple(SCORES),
        default="AP",
        help="what best.safetensors is best in",
    )
    group.add_argument(
        "--tensorboard", action="store_true", help="write OUT/tensorboard, too (log.csv always is)"
    )


def add_source_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", help="which system's weights these are, when they do not tell")
    parser.add_argument(
        "--inside",
        metavar="PREFIX",
        help="take the tensors whose names begin so, as model or ema, when the file holds others, too",
    )


def add_loading_options(parser: argparse.ArgumentParser) -> None:
    add_number(
        parser,
        "--workers",
        int,
        Range(0, 256),
        default=1,
        help="threads that prepare batches ahead (0: none); the batches are the same for any number",
    )
    add_number(
        parser,
        "--cache-images",
        float,
        Range(0),
        default=0,
        metavar="MIB",
        help="keep decoded images in memory, this much at most",
    )
    add_pixel_limit(parser)


def add_pixel_limit(parser: argparse.ArgumentParser) -> None:
    text = f"refuse images of more pixels (default {MAX_PIXELS:,})"
    add_number(parser, "--max-pixels", int, Range(1, 10**12), metavar="N", help=text)


def config_from(options: argparse.Namespace) -> Config:
    config = preset(options.preset)
    overrides = list(options.set)
    if options.data:
        asked = with_overrides(config, overrides).data
        sets = (*asked.train_sets, *asked.val_sets)
        kind = kind_of(Path(options.data), sets, config.data.kind)
        if kind == "coco" and config.data.kind == "coco_panoptic":
            kind = "coco_panoptic"
        overrides = [f"data.kind={kind}", f"data.root={options.data}", *overrides]
    if options.seed is not None:
        overrides.append(f"seed={options.seed}")
    overrides += ["deterministic=true"] if options.deterministic else []
    if getattr(options, "max_pixels", None) is not None:
        overrides.append(f"data.max_pixels={options.max_pixels}")
    return validate(with_overrides(config, overrides))


def kind_of(root: Path, sets: Sequence[str], usual: str = "coco") -> str:
    """COCO or VOC: what the sets that are asked for are, else what the folder has; `usual` where it has both.

    `--set data.kind` overrides it. A folder JPEGImages alone is no sign: labelme's COCO export has one.
    """
    if any(name.endswith(".json") or ".json:" in name for name in sets):
        return "coco"
    is_coco = any((root / "annotations").glob("*.json"))
    signs = ("ImageSets", "Annotations")
    is_voc = any((y / sign).is_dir() for y in (root, *root.glob("VOC*")) for sign in signs)
    if is_coco and is_voc:
        return "voc" if usual == "voc" else "coco"
    return "voc" if is_voc else "coco"


def handed(
    file: Path, options: argparse.Namespace, *adders: Callable[[Parser], None], **other
) -> list[str]:
    """The command line that gives another process the options that `adders` add to its parser, as JSON in `file`;
    `other`: values instead of theirs. The file is to stay until that process has begun."""
    parser = Parser(add_help=False)
    for add in adders:
        add(parser)
    given = {a.dest: getattr(options, a.dest, a.default) for a in parser._actions} | other
    file.write_text(json.dumps(given, default=str))
    return [HANDED, str(file)]
