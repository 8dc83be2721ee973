"""What a system of weights is: how its files are known, and the rules that rename its tensors.

A rule has their name and ours with the same placeholders: {i} and {j} are numbers, {leaf} one word, {rest} anything.
One table serves both ways, import and export. A rule may say that theirs is one of several equal parts of
ours along the first axis: split query, key and value projections are parts of the fused `in_proj`, which is
the canonical form. A reason in place of our name leaves the tensor out.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from neutral.config import Config
from neutral.parameters import body

COUNTER = "a counter of batch normalisation, whose statistics are frozen here"
CLASSIFIER = "the classification head of ImageNet"
NO_STAGE = "the configured model ends before this stage"
HEAD, PREDICTOR = "roi_heads.box_head", "roi_heads.box_predictor"
PLACEHOLDERS = {"i": r"(\d+)", "j": r"(\d+)", "leaf": r"([^.]+)", "rest": r"(.+)"}


@dataclass(frozen=True)
class Rule:
    """`theirs` <-> `ours`, which may have {body} and {layer4} for where the configuration has them.

    `part` (k, n): theirs is the k-th of n equal parts of ours. With a `reason` the tensor is left out.
    """

    theirs: str
    ours: str = ""
    part: tuple[int, int] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Source:
    """`marks`: keys that tell it, all of them there; `absent`: none of them there.

    `fills`: beginnings of canonical names that it has to fill; () for all: a whole detector. What else the model has
    begins anew, and so do, together, all names that begin as one of `may_lack` where it has none of them.
    `channels`: the order of colours that its first layer wants, "" where the preset decides.
    `digests`: beginnings of SHA-1 and SHA-256 of published files. `layouts`: of files; () for any.
    `norm_eps`: where its files differ in the eps of their frozen batch normalisation and do not say so: that of the
    published ones, whose digests these are, and of those that people train.
    """

    name: str
    marks: tuple[str, ...]
    rules: tuple[Rule, ...]
    detector: str = ""  # "detr", "faster_rcnn" or, for backbones, both
    fills: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    channels: str = ""
    digests: tuple[str, ...] = ()
    may_lack: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    not_layouts: tuple[str, ...] = ()
    norm_eps: tuple[float, float] | tuple[()] = ()

    def matches(self, keys, layout: str) -> bool:
        return (
            all(mark in keys for mark in self.marks)
            and not any(mark in keys for mark in self.absent)
            and (not self.layouts or layout in self.layouts)
            and layout not in self.not_layouts
        )


def places(config: Config) -> dict[str, str]:
    """What {body} and {layer4} stand for: a C4 detector has its layer4 in the box head."""
    in_head = config.model.detector == "faster_rcnn" and config.model.roi.head == "layer4"
    return {"body": body(config), "layer4": f"{HEAD}." if in_head else body(config)}


def fill_places(template: str, config: Config) -> str:
    for name, place in places(config).items():
        template = template.replace(f"{{{name}}}", place)
    return template


@functools.cache
def _pattern(template: str) -> tuple[re.Pattern, tuple[str, ...]]:
    """The regular expression of a template, and its placeholders in order."""
    parts = re.split(r"\{(\w+)\}", template)
    text = "".join(re.escape(p) if k % 2 == 0 else PLACEHOLDERS[p] for k, p in enumerate(parts))
    return re.compile(text + r"\Z"), tuple(parts[1::2])


def match(template: str, key: str) -> dict[str, str] | None:
    """The placeholders' values when `key` has the template's form."""
    pattern, names = _pattern(template)
    found = pattern.match(key)
    return dict(zip(names, found.groups(), strict=True)) if found else None


def find_rule(source: Source, key: str) -> tuple[Rule, dict[str, str]] | None:
    """The first rule for a key of theirs, and its placeholders' values."""
    for rule in source.rules:
        values = match(rule.theirs, key)
        if values is not None:
            return rule, values
    return None


def their_names(
    source: Source, key: str, config: Config
) -> list[tuple[str, tuple[int, int] | None]]:
    """What the source calls a canonical tensor, by parts when it splits it; [] when it has no name for it."""
    for rule in source.rules:
        ours = fill_places(rule.ours, config)
        values = match(ours, key) if ours else None
        if values is None:
            continue
        count = rule.part[1] if rule.part else 1
        parts = [r for r in source.rules if r.ours == rule.ours and bool(r.part) == bool(rule.part)]
        return [(r.theirs.format(**values), r.part) for r in parts[:count]]
    return []


def same(*names: str) -> tuple[Rule, ...]:
    return tuple(Rule(name, name) for name in names)


def split_attention(
    theirs: str, ours: str, out: tuple[str, ...] = ("out_proj",)
) -> tuple[Rule, ...]:
    """Projections of their own <-> parts of the fused one, in the order query, key, value."""
    split = tuple(
        Rule(f"{theirs}.{letter}_proj.{{leaf}}", f"{ours}.in_proj_{{leaf}}", (k, 3))
        for k, letter in enumerate("qkv")
    )
    return split + tuple(Rule(f"{theirs}.{o}.{{leaf}}", f"{ours}.out_proj.{{leaf}}") for o in out)


COUNTERS = (Rule("{rest}.num_batches_tracked", reason=COUNTER),)
OPTIMISER = (Rule("optimiser/{rest}", reason="the state of the optimiser"),)
CANONICAL = (*COUNTERS, *OPTIMISER, *same("{rest}"))


def renamed(pairs: dict[str, str]) -> tuple[Rule, ...]:
    return tuple(Rule(f"{theirs}.{{leaf}}", f"{ours}.{{leaf}}") for theirs, ours in pairs.items())
