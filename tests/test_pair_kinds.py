"""What a pair file says wrongly is told when it is read, before any process starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parity import Case, InputError
from parity.pair_file import NAMES
from tests.commands import ROOT

BOTH = "def both_sides():\n    return print\n\n\ndef inputs():\n    return ()\n"


def write(folder: Path, says: str, name: str = "pair.py") -> Path:
    (folder / name).write_text(f"{BOTH}\n{says}\n")
    return folder / name


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("targets = (1, 2)", r"targets is of type tuple; write def targets\(...\):"),
        ('weights = {"0.weight": 1}', "weights is of type dict"),
        ('jittor_name = {"a": "b"}', "jittor_name is of type dict"),
        ('DROPPED = ["a"]', "DROPPED is of type list; write a dictionary"),
        ('OPTIMISER = "sgd"', "OPTIMISER is of type str; write a dictionary"),
        ('FLOAT64 = "no"', "FLOAT64 is of type str; write True or False"),
        ("GRADIENTS = None", "GRADIENTS is of type NoneType"),
        ("TRAINING = 2", "TRAINING is of type int; write True, False or None"),
        ("batches = 3", "batches is of type int"),
        ("STAND_INS = 5", "STAND_INS is of type int; write a tuple"),
        ("PRETRAINED = 5", "PRETRAINED is of type int"),
        ('LAYOUT = {"a": (1, 0)}', r"LAYOUT\['a'\] is \(1, 0\); write transposed"),
        ('SPLIT = {"a": "b"}', r"SPLIT\['a'\] is 'b'; write a tuple of names"),
        ("CASE = {}", "CASE is a dict; write parity.Case"),
        ("import sys\nsys.exit(3)", "cannot be run: it calls sys.exit: 3"),
    ],
)
def test_what_would_be_ignored_or_trip_later_is_told_at_once(tmp_path, says, message):
    path = write(tmp_path, says)
    with pytest.raises(InputError, match=message):
        Case.from_file(path)
    right = ("TRAINING = None", "batches = []", 'STAND_INS = {"a"}', "PATHS = ()", "FLOAT64 = 0")
    for k, line in enumerate(right):
        Case.from_file(write(tmp_path, line, f"{k}.py"))
    with pytest.raises(InputError, match="is a folder"):
        Case.from_file(tmp_path)


REQUIRED = {"torch_side", "jittor_side", "inputs"}


def test_the_table_of_docs_pairs_has_every_name_that_may_be_left_out():
    page = (ROOT / "docs" / "pairs.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| ", page.partition("A name that is nearly")[0], re.MULTILINE)
    told = {re.match(r"\w+", code)[0] for row in rows for code in re.findall(r"`([^`]+)`", row)}
    assert told == set(NAMES) - REQUIRED
