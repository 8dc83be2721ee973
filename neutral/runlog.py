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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from door import schema
from door.files import regular, replacing
from door.jsontext import dumps
from door.text import decode
from neutral.errors import InputError
from neutral.evaluation import METRICS
from neutral.files import append
from neutral.schemas import LoggedEpoch, RunHeader
from neutral.undefined import defined


@dataclass(frozen=True)
class RunLog:
    path: Path
    header: dict
    epochs: tuple[dict, ...]

    def series(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Epoch numbers and finite values of one key, where present."""
        return self._rows(lambda epoch: epoch.get(key))

    def metric(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Epoch numbers and one of the 12 COCO numbers, where it is finite."""
        return self._rows(lambda epoch: coco_number(epoch, index))

    def _rows(self, value: Callable[[dict], object]) -> tuple[np.ndarray, np.ndarray]:
        rows = [(e["epoch"], v) for e in self.epochs if (v := defined(value(e))) is not None]
        return np.array([r[0] for r in rows]), np.array([r[1] for r in rows], dtype=float)

    @cached_property
    def gaps(self) -> dict[str, list[int]]:
        """Epochs by key (of the COCO numbers those of METRICS' first three) that have no finite value for it.

        Of keys that any epoch has; numbers of the validation are looked for in epochs that were evaluated.
        """
        found: dict[str, list[int]] = {}
        for key in dict.fromkeys(key for epoch in self.epochs for key in epoch):
            is_test = key.startswith("test_")
            asked = [e for e in self.epochs if not is_test or any(k.startswith("test_") for k in e)]
            if key == "test_coco_eval_bbox":
                for k, name in enumerate(METRICS[:3]):
                    found[name] = [e["epoch"] for e in asked if _lacks(coco_number(e, k))]
            elif any(_is_number(e.get(key)) for e in self.epochs):
                found[key] = [e["epoch"] for e in asked if _lacks(e.get(key))]
        return {key: epochs for key, epochs in found.items() if epochs}


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _lacks(value) -> bool:
    return defined(value) is None


def coco_number(epoch: dict, index: int):
    """One of an epoch's 12 COCO numbers; None where there is none, a single number being AP."""
    values = epoch.get("test_coco_eval_bbox")
    values = values if isinstance(values, list) else [values]
    return values[index] if index < len(values) else None


def append_line(path: Path, record: dict) -> None:
    """Adds one line and sees it onto the disk."""
    append_lines(path, [record])


def append_lines(path: Path, records: Iterable[dict]) -> None:
    """Adds lines, all or none."""
    append(path, "".join(dumps(record) + "\n" for record in records).encode())


# of the 12 COCO numbers in tables
PREFIXES = {"test_coco_eval_bbox": "test_", "test_coco_eval_masks": "test_mask_"}


def numbers(record: dict, prefix: str = "") -> dict[str, float]:
    """An epoch's numbers by name: the 12 COCO ones as test_AP and so on, of classes as test_per_class/dog."""
    found = {}
    for key, value in record.items():
        if key in PREFIXES:
            names = (f"{PREFIXES[key]}{metric}" for metric in METRICS)
            values = value if isinstance(value, list) else [value]
            found |= {name: v for name, v in zip(names, values) if not _lacks(v)}
        elif isinstance(value, dict):
            found |= numbers(value, f"{key}/")
        elif not _lacks(value):
            found[prefix + key] = value
    return found


def write_csv(log: Path, path: Path) -> None:
    """The epochs of a log as a table, one row each."""
    rows = [numbers(epoch) for epoch in read_log(log).epochs]
    columns = ["epoch", *sorted({key for row in rows for key in row} - {"epoch"})]
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


# a line of the published port's eval_summary.txt
SUMMARY = re.compile(r"\[val\] epoch=\s*(\d+) AP=([\d.]+) \| AP50=([\d.]+) \| AP75=([\d.]+)\s*$")


def read_log(path: Path | str) -> RunLog:
    """InputError names the file and line when it is not a run log."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such log")
    # text of other languages has other ends of line within
    lines = decode(schema.read_bytes(regular(path)), path).split("\n")
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
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path}, line {number}: not JSON ({error}); a run log has one object per line"
            ) from None
        if not isinstance(record, dict):
            raise InputError(f"{path}, line {number}: not a JSON object")
        place = f"{path}, line {number}"
        if "header" in record:
            header = record["header"]
            schema.check(header, RunHeader, f"{place}: header")
        elif "epoch" in record:
            schema.check(record, LoggedEpoch, place)
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
