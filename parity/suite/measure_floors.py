"""`python -m parity.suite.measure_floors`: noise floors of the suite's cases on this machine, into floors.json."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import track

from door.files import write_json
from door.randomness import neighbours, stream
from neutral.data.batching import Batch
from parity.engine.ask.environment import describe_machine
from parity.engine.ask.measure import VARIANTS, measure
from parity.engine.judge import gates
from parity.engine.judge.floors import SCHEMA, read_floors
from parity.engine.sides.workers import Workers
from parity.suite.cases import CASES, FASTER_RCNN
from parity.suite.detector_case import FLOORS, DetectorCase

SCENES = Path(__file__).resolve().parent.parent.parent / "logs" / "data"


def nearby(batch: Batch) -> Batch:
    """Every pixel that is not padding moved to the next float32."""
    images = neighbours(batch.images, stream(0, "floors"))
    return replace(batch, images=np.where(batch.images == 0, batch.images, images))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--case", action="append", help="only these cases; others stay as they are")
    parser.add_argument("--device", choices=tuple(FLOORS), default="cpu")
    options = parser.parse_args()
    cases = [c for c in CASES + FASTER_RCNN if c.float32 and not c.full and available(c)]
    cases = [c for c in cases if not options.case or c.name in options.case]
    path = FLOORS[options.device]
    before = read_floors(path)
    found = dict(before.cases)
    with Workers(device=options.device) as workers:
        described = workers["torch"].call("describe", options.device)
        for case in track(cases, "measuring noise floors"):
            with case.examination(workers, SCENES) as examination:
                examination.run_reference()
                found[case.name] = measure(examination, nearby)
    measured = {
        "measured": time.strftime("%Y-%m-%d"),
        "machine": describe_machine() | {"device": described["device_name"]},
        "versions": {"torch": described["version"]},
    }
    if options.case and "measured" in before.about:  # what the file says of the others stays true
        later = before.about.get("measured_apart", {}) | {case.name: measured for case in cases}
        about = dict(before.about) | {"measured_apart": later}
    else:
        about = {"schema": SCHEMA, "device": options.device} | measured
        about |= {"variants": list(VARIANTS[options.device]), "unit": gates.U32}
    write_json(path, about | {"cases": found}, indent=None)
    print(f"{path.name}: {len(found)} cases")


def available(case: DetectorCase) -> bool:
    return case.data is None or case.data.is_dir()


if __name__ == "__main__":
    main()
