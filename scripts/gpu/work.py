"""One step of a GPU check, in parts: `python -m scripts.gpu.work STEP --device cuda --out FILE`.

FILE is written after every part, so that what was found before the time was up is kept. Exit code 1 when a part tells
of a disagreement. A framework that breaks down ends the step; what broke is in FILE.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from door.files import write_json
from scripts.common import run_main
from scripts.gpu import harness, timing

PARTS = harness.PARTS | timing.PARTS


def carry_out(step: str, device: str, out: Path) -> int:
    """Writes {"parts": {name: what was found, "seconds": ...}}; the exit code."""
    record: dict[str, dict] = {"parts": {}}
    wrong, began = 0, time.monotonic()
    try:
        for name, found in PARTS[step](device):
            now = time.monotonic()
            bad = harness.failed(found)
            record["parts"][name] = found | {"seconds": round(now - began, 2)}
            write_json(out, record)
            print(f"{'FAIL' if bad else 'ok  '} {name}", flush=True)
            wrong, began = wrong + bad, time.monotonic()
    except Exception as error:  # a framework that broke down: what was found before it stands
        record["broke down"] = f"{type(error).__name__}: {error}"[:2000]
        write_json(out, record)
        print(f"broke down: {record['broke down']}", flush=True)
        return 1
    return int(wrong > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=sorted(PARTS))
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    return carry_out(options.step, options.device, options.out)


if __name__ == "__main__":
    run_main(main)
