"""Records made at any time and place, and compared later: `record` on one side, `compare` of two or three records.

Two float64 records are judged by the semantic gate, or when the second was forced by the first, node by node for
where errors are made. Three, float64 and both sides' float32, are judged by the precision gate.

Before: examination.py, whose gates judge these records, too. Asked by parity/cli.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from door import schema
from parity.case import DRAWN, ROLES, Case
from parity.engine.ask.result import Result
from parity.engine.judge.floors import Floors
from parity.engine.judge.localise import compare_local_32, compare_local_64
from parity.engine.judge.precision import PrecisionGate
from parity.engine.judge.semantic import compare_semantics
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.workers import Worker
from parity.engine.values.record import Record
from parity.engine.values.shapes import ComparedRecord
from parity.errors import InputError


def record(
    case: Case,
    side: str,
    out: Path | str,
    *,
    dtype: str = "float64",
    device: str = "cpu",
    reference: Path | str | None = None,
    replay: Path | str | None = None,
    rounded: bool = False,
) -> Record:
    """Runs one half of a case and writes the record OUT.safetensors.

    side: "reference", "candidate" or its label. reference: a record that forces this run, `rounded` by its float32
    values. replay: a record whose choices are repeated. InputError for a record that is none.
    """
    if side not in (*ROLES, *case.labels):
        raise InputError(f"side {side!r}: {case.name} has {' and '.join(case.labels)}")
    place = ROLES.index(side) if side in ROLES else case.labels.index(side)
    half, label = (case.reference, case.candidate)[place], case.labels[place]
    options: dict = {"out": Path(out).resolve(), "rounded": rounded}
    for name, path in (("reference", reference), ("replay", replay)):
        if path is not None:
            Record(path)  # a bad file is told before anything is computed
            options[name] = Path(path).resolve()
    worker = Worker(half)
    try:
        worker.call("build", half, device, dtype, case.training, label)
        weights = worker.weights(case)
        worker.call("load", weights, strict=False)
        if case.weights != DRAWN:  # drawn ones are drawn again where they are wanted
            options["weights"] = weights
        about = {"subject": case.name, "place": place}
        targets = worker.made(case.targets)
        return Record(
            worker.call("trace", worker.made(case.inputs), targets=targets, about=about, **options)
        )
    finally:
        worker.close()


def compare(*records: Record | Path | str, floors: Floors | None = None) -> Result:
    """Verdicts of whichever gate the records are for; the first is the reference.

    floors: of this case, on the device of the records. InputError when they, or the records, do not belong together.
    """
    opened = [x if isinstance(x, Record) else comparable(x) for x in records]
    if not 2 <= len(opened) <= 3:
        raise InputError("give two records for the semantic gate, three for the precision gate")
    about = [r.about for r in opened]
    case, device = _common(about, "subject"), _common(about, "device")
    environment = {str(r.path): a["environment"] for r, a in zip(opened, about, strict=True)}
    sides = _sides(about)
    floors = floors or Floors()
    floors.check_device(device)
    gate = PrecisionGate(case, floors, sides)
    dtypes, forced = tuple(a["dtype"] for a in about), _forced(opened)
    if dtypes == ("float64", "float64"):
        if not forced:
            return Result(compare_semantics(case, *opened, sides), environment)
        weights = weights_of(opened[0])
        return Result(compare_local_64(case, *opened, weights, sides), environment)
    if dtypes == ("float64", "float32", "float32"):
        if forced:
            weights = weights_of(opened[0])
            return Result(compare_local_32(gate, *opened, weights), environment)
        return Result(gate.compare(*opened), environment)
    raise InputError(
        f"records of {', '.join(dtypes)}: give float64 and float64 (semantics), or float64, float32 of the "
        "reference and float32 of the candidate (precision)"
    )


def comparable(path: Path | str) -> Record:
    """The record there; InputError unless it says all that comparing needs."""
    record = Record(path)
    schema.check(record.about, ComparedRecord, f"{record.path}: about")
    if "nodes" not in record:
        raise InputError(f"{path}: has no nodes; make it anew with `parity record`")
    return record


def _common(about: list[Mapping], field: str) -> str:
    """What all records say of `field`."""
    values = {a.get(field, "cpu" if field == "device" else "") for a in about}
    if len(values) > 1:
        listed = ", ".join(sorted(map(str, values)))
        raise InputError(f"records of different {field}s: {listed}; compare those of one")
    return values.pop()


def _forced(records: list[Record]) -> bool:
    """Whether these are forced runs; InputError for such beside free ones, and for float32 runs forced with float64
    values, which no float32 run could have had."""
    first, *others = records
    forced = [r.about["forced"] for r in others]
    if len(records) == 2 and first.about["forced"]:
        raise InputError(
            f"{first.path}: was forced itself; give the free run that forced the other"
        )
    if len(records) == 3 and len({first.about["forced"], *forced}) > 1:
        kinds = ", ".join(
            f"{r.path.name} {'forced' if r.about['forced'] else 'free'}" for r in records
        )
        raise InputError(f"forced and free runs together ({kinds}): give three of one kind")
    odd = [r.path for r in records if r.about["forced"] and not r.about.get("rounded")]
    if len(records) == 3 and odd:
        raise InputError(f"{odd[0]}: was forced with float64 values; make it anew with --rounded")
    return forced[-1]


def _sides(about: list[Mapping]) -> tuple[str, str]:
    """What the two sides are called; InputError unless they come in order."""
    places = [a.get("place", k > len(about) - 2) for k, a in enumerate(about)]
    if len(about) == 3 and (about[1]["side"], about[2]["side"]) == (about[2]["side"],) * 2:
        raise InputError(f"both float32 records are {about[1]['side']}'s: give one of each side")
    if len(about) == 3 and (places[1], places[2]) == (1, 0):
        raise InputError(
            f"the float32 records must be {about[2]['side']}'s, then {about[1]['side']}'s"
        )
    first, second = about[-2]["side"], about[-1]["side"]
    return (first, second) if first != second else ("the first", "the second")


def weights_of(record: Record) -> Mapping:
    """What both sides were given, for oracles: kept in the record, or drawn by name as it was for the record."""
    if "weights" in record:
        return record["weights"]
    return drawn_weights({name: tuple(x) for name, x in record.about["shapes"].items()})
