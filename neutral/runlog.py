"""Run logs in JSON lines, readable by facebookresearch/detr's own plot_utils.

The first line is {"header": {...}} (configuration, seed, versions, data fingerprints); every further line is
{"note": ...}, what happened to the run besides, or an epoch with DETR's keys: `train_loss`, `train_loss_ce` (weighted),
`train_loss_ce_unscaled`, `test_...`, `test_coco_eval_bbox` and `test_coco_eval_masks` (12 numbers each), `epoch`,
`n_parameters`.
`read_log` also takes logs that other code wrote, with or without a header, and the published port's eval_summary.txt.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neutral.errors import InputError
from neutral.evaluation import METRICS
from neutral.files import append, regular, replacing


@dataclass(frozen=True)
class RunLog:
    path: Path
    header: dict
    epochs: tuple[dict, ...]

    def series(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Epoch numbers and finite values of one key, where present."""
        rows = [(e["epoch"], e[key]) for e in self.epochs if isinstance(e.get(key), (int, float))]
        return np.array([r[0] for r in rows]), np.array([r[1] for r in rows], dtype=float)

    def metric(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Epoch numbers and one of the 12 COCO numbers."""
        rows = [
            (e["epoch"], e["test_coco_eval_bbox"][index])
            for e in self.epochs
            if e.get("test_coco_eval_bbox") and e["test_coco_eval_bbox"][index] is not None
        ]
        return np.array([r[0] for r in rows]), np.array([r[1] for r in rows], dtype=float)


def append_line(path: Path, record: dict) -> None:
    """Adds one line and sees it onto the disk."""
    append_lines(path, [record])


def append_lines(path: Path, records: Iterable[dict]) -> None:
    """Adds lines, all or none."""
    append(path, "".join(json.dumps(record) + "\n" for record in records).encode())


# of the 12 COCO numbers in tables
PREFIXES = {"test_coco_eval_bbox": "test_", "test_coco_eval_masks": "test_mask_"}


def numbers(record: dict, prefix: str = "") -> dict[str, float]:
    """An epoch's numbers by name: the 12 COCO ones as test_AP and so on, of classes as test_per_class/dog."""
    found = {}
    for key, value in record.items():
        if key in PREFIXES:
            names = (f"{PREFIXES[key]}{metric}" for metric in METRICS)
            found |= {name: v for name, v in zip(names, value) if v is not None}
        elif isinstance(value, dict):
            found |= numbers(value, f"{key}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[prefix + key] = value
    return found


def write_csv(log: Path, path: Path) -> None:
    """The epochs of a log as a table, one row each."""
    rows = [numbers(epoch) for epoch in read_log(log).epochs]
    columns = ["epoch", *sorted({key for row in rows for key in row} - {"epoch"})]
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


# a line of the published port's eval_summary.txt
SUMMARY = re.compile(r"\[val\] epoch=\s*(\d+) AP=([\d.]+) \| AP50=([\d.]+) \| AP75=([\d.]+)\s*$")


def read_log(path: Path | str) -> RunLog:
    """InputError names the file and line when it is not a run log."""
    path = Path(path)
    try:
        lines = regular(path).read_text().splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such log") from None
    header, epochs = {}, []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if summary := SUMMARY.match(line):
            epoch, *scores = summary.groups()
            stats = [float(score) for score in scores] + [None] * (len(METRICS) - len(scores))
            epochs.append({"epoch": int(epoch), "test_coco_eval_bbox": stats})
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path}, line {number}: not JSON ({error}); a run log has one object per line"
            ) from None
        if not isinstance(record, dict):
            raise InputError(f"{path}, line {number}: not a JSON object")
        if "header" in record:
            header = record["header"]
        elif "epoch" in record:
            epochs.append(record)
        elif "note" not in record:
            raise InputError(f"{path}, line {number}: has neither 'epoch', 'header' nor 'note'")
    if not epochs:
        raise InputError(f"{path}: no epochs in this log")
    return RunLog(path, header, tuple(epochs))


def mean_losses(
    steps: Iterable[dict[str, float]], prefix: str, weights: dict[str, float]
) -> dict[str, float]:
    """Means over steps under DETR's names: weighted losses bare, unweighted ones `_unscaled`.

    `weights` are those of the losses in the total, by name without the decoder layer's number.
    """
    steps = list(steps)
    record = {}
    for name in steps[0] if steps else ():
        mean = float(np.mean([s[name] for s in steps]))
        kind = re.sub(r"_\d+$", "", name)  # loss_ce_3 -> loss_ce
        if kind in weights:
            record[f"{prefix}_{name}"] = mean * weights[kind]
            record[f"{prefix}_{name}_unscaled"] = mean
        elif "error" in name:
            record[f"{prefix}_{name}_unscaled"] = mean
        else:
            record[f"{prefix}_{name}"] = mean
    if f"{prefix}_class_error_unscaled" in record:
        record[f"{prefix}_class_error"] = record[f"{prefix}_class_error_unscaled"]
    return record
