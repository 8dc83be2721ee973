"""The project's detectors under the harness: its first users, as docs/pairs.md has it for everybody."""

from __future__ import annotations

import importlib

from neutral import config as configuration
from parity.backends import base
from parity.case import Side, Subject
from parity.engine.sides.runner import Runner

WATCHED = ("roi_pool", "max_with_index")  # functions of the implementations' ops that choose


def detector(
    framework: str,
    config: dict,
    dropout_step: int | None = None,
    device: str = "cpu",
    dtype="float32",
) -> Subject:
    """A Session of this configuration; `dropout_step` switches dropout on and numbers what it draws."""
    session = importlib.import_module(f"{framework}_impl.session").Session(
        configuration.from_dict(config), device, dtype
    )
    return subject_of(framework, session, dropout_step)


def subject_of(framework: str, session, dropout_step: int | None = None) -> Subject:
    """A session as the harness uses it; its batches are its inputs."""
    ops = importlib.import_module(f"{framework}_impl.ops")

    def forward(batch, run):
        step = dropout_step if dropout_step is not None else run.step
        return session.run(batch, dropout_step is not None or run.training, step, run.choices)

    return Subject(
        session.model,
        prepare=lambda batch: batch,
        cast=False,
        forward=forward,
        losses=lambda outcome, targets, run: outcome.losses,
        total=lambda outcome, losses: outcome.total,
        metrics=lambda outcome: outcome.errors,
        record=lambda outcome: outcome.record,
        postprocess=lambda outcome, batch, run: session.detector.detections(outcome, batch),
        load=session.load,
        state=session.state,
        trained=session.trained,
        constant=session.is_constant,
        watch=lambda choices: Watch(ops, choices),
        evidence=("class_embed", "bbox_embed", "rpn.head", "roi_heads.box_predictor"),
        session=session,
    )


def runner_of(framework: str, session, dropout_step: int | None = None) -> Runner:
    """Watches a session of this process, whose weights and modes stay as they are."""
    return Runner(
        base.load(framework),
        subject_of(framework, session, dropout_step),
        session.device,
        session.dtype,
        training=None,
        take_over=False,
    )


class Watch:
    """Inside, every call of WATCHED is a choice, as a function of the frameworks' would be."""

    def __init__(self, ops, choices):
        self.ops, self.choices = ops, choices
        self.originals = {name: getattr(ops, name) for name in WATCHED}

    def __enter__(self) -> None:
        self.ops.roi_pool, self.ops.max_with_index = self.roi_pool, self.max_with_index

    def __exit__(self, *_) -> None:
        for name, original in self.originals.items():
            setattr(self.ops, name, original)

    def roi_pool(self, x, boxes, images, size, scale):
        choices = self.choices
        name = choices.site("roi_pool")
        pooled, cells = self.originals["roi_pool"](x, boxes, images, size, scale)
        if name not in choices.given:
            choices.keep(name, cells)
            return pooled, cells
        rows = self.ops.take_rows(x, self.ops.as_index(images))
        values, cells = choices.pick(name, rows, self.ops.to_numpy(cells))
        return values, self.ops.array(cells)

    def max_with_index(self, x, axis):
        choices = self.choices
        name = choices.site("max")
        values, index = self.originals["max_with_index"](x, axis)
        if name not in choices.given:
            choices.keep(name, index)
            return values, index
        rows = x.reshape(1, -1, 1, x.shape[axis])  # the last axis, wherever this is called
        cells = self.ops.to_numpy(index).reshape(1, -1, 1, 1)
        values, index = choices.pick(name, rows, cells, tuple(values.shape))
        return values, self.ops.array(index)


def sides(config: dict, dropout_step: int | None = None) -> tuple[Side, Side]:
    """PyTorch's and Jittor's halves of a detector."""
    return tuple(
        Side(
            "parity.suite.subjects:detector",
            framework,
            arguments={"framework": framework, "config": config, "dropout_step": dropout_step},
        )
        for framework in ("torch", "jittor")
    )
