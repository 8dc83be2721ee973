"""Writes README.md, README.zh.md and docs/tutorial.md from docs/readme, every number from a file in logs/reference.

Example: `python -m scripts.readme --check` fails, with what differs, when a README is not what the files say.
`--report logs/parity/report.json` first takes over a run: its gist, and the picture of its matrix.
`--screenshots RED GREEN` takes pictures of two report.html in a browser.
"""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from door.files import read_json, replacing, write_json
from door.terminal import say
from neutral.errors import InputError
from neutral.runlog import read_log
from parity.engine.judge import checks
from parity.report.gist import FAIL, KINDS, PASS, STATUSES, Cell, matrix
from scripts.common import run_main
from scripts.options import Parser

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "logs" / "reference"
SOURCES = ROOT / "docs" / "readme"
PICTURES = ROOT / "docs" / "pictures"
TUTORIAL = ROOT / "docs" / "tutorial"
GIST = REFERENCE / "parity" / "gist.json"
READMES = ("README.md", "README.zh.md")
PAGES = (*READMES, "docs/tutorial.md")
OTHERS = ("verdicts: ", "FAIL ", "INCONCLUSIVE ", "NOT_RUN ", "NOT RUN ", "KNOWN ")
LONGEST = 120  # lines of a README
SHOWN_MUTANTS = (
    *("bn_statistics_lost", "no_positions", "giou_sign", "greatest_keys_sampled"),
    *("roi_gradient_drops_the_edge", "lr_drop_lost"),
)
LEVEL_COLOURS = (
    *("#1f8a5b", "#4aa574", "#83bf8b", "#bfd492", "#eccf6d", "#efa13b"),
    *("#9fc7dd", "#c62828", "#d9a520", "#6a5fa8", "#b0b0b0"),
)
LEVELS = (*map(str, range(6)), "exact", "fail", "unsure", "known", "left")


def gist_of(report: Mapping) -> dict:
    """What the READMEs say of a run."""
    verdicts, whole = report["verdicts"], Cell()
    for verdict in verdicts:
        whole.add(verdict)
    rows = {
        case: {kind: cell.level for kind, cell in row.items()}
        for case, row in matrix(verdicts).items()
    }
    made = [v for v in verdicts if v["check"] == checks.CHOICES_32]
    other = [v for v in made if v.get("message") or v["status"] != PASS]
    environment = report["environment"]
    return {
        "created": report["created"],
        "commit": report.get("commit", ""),
        "seconds": report["seconds"],
        "counts": {s: whole.counts[s] for s in STATUSES},
        "cases": len(rows),
        "worst_share": whole.share,
        "worst": {
            kind: worst_of(v for v in verdicts if v["check"] == check)
            for kind, check in (
                ("forward64", "float64 forward"),
                ("local64", "float64 local forward"),
                ("gradients64", "float64 gradients"),
                ("local32", "float32 local forward"),
            )
        },
        "choices": {
            "made": len(made),
            "otherwise": len(other),
            "unexplained": sum(v["status"] == FAIL for v in made),
        },
        "versions": {s: environment.get(s, {}).get("version", "") for s in ("torch", "jittor")},
        "machine": environment.get("machine", {}),
        "matrix": rows,
    }


def worst_of(verdicts) -> float | None:
    found = [v["measured"] for v in verdicts if v.get("measured") is not None and v.get("limit")]
    return max(found, default=None)


def draw_matrix(rows: Mapping, path: Path) -> None:
    """The heat matrix, as on the page: cases that many kinds of checks look at, the rest in one row."""
    import matplotlib  # noqa: PLC0415 (only when a picture is drawn)

    matplotlib.use("Agg")
    from matplotlib import colors, pyplot  # noqa: PLC0415

    wide = {case: row for case, row in rows.items() if len(row) >= 4}
    columns = [k for k in KINDS if any(k in row for row in wide.values())]
    grid = [
        [LEVELS.index(r[k]) if k in r else float("nan") for k in columns] for r in wide.values()
    ]
    figure, axes = pyplot.subplots(figsize=(8.4, 0.27 * len(grid) + 1.3), layout="constrained")
    axes.pcolormesh(
        grid,
        cmap=colors.ListedColormap(LEVEL_COLOURS),
        vmin=-0.5,
        vmax=len(LEVELS) - 0.5,
        edgecolors="white",
        linewidth=2,
    )
    axes.invert_yaxis()
    axes.set_yticks([k + 0.5 for k in range(len(wide))], list(wide), fontsize=8)
    axes.set_xticks([k + 0.5 for k in range(len(columns))], [KINDS[k] for k in columns], fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    pyplot.setp(axes.get_xticklabels(), rotation=40, ha="left", rotation_mode="anchor")
    for side in axes.spines.values():
        side.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    pyplot.close(figure)


def facts() -> dict:
    """Everything that a README may say, by name."""
    found = read_json(GIST)
    mutants = read_json(REFERENCE / "mutants.json")
    times = read_json(REFERENCE / "bench" / "times.json")
    peers = read_json(REFERENCE / "bench" / "peers-cpu.json")
    atlas = read_json(ROOT / "parity" / "atlas" / "atlas.json")
    return {
        "run": found,
        "mutants": {
            "all": len(mutants["mutants"]),
            "named": sum(m["as_named"] for m in mutants["mutants"]),
            "false_alarms": len(mutants["false_alarms"]),
            "sound_runs": mutants["sound_runs"],
            "date": mutants["created"][:10],
            "by_name": {m["name"]: m for m in mutants["mutants"]},
        },
        "bred": read_json(REFERENCE / "breeding.json")["counts"],
        "times": times,
        "speed": speed(peers),
        "peers_date": peers["date"][:10],
        "atlas": len(atlas["cpu"]["entries"]),
        "seeds": seeds(),
        "shown_mutants": SHOWN_MUTANTS,
        "pair": re.sub(r"\n\n+(?=[ d])", "\n", (TUTORIAL / "first.py").read_text()).strip(),
        "broken": (TUTORIAL / "broken.py").read_text().strip(),
        "red": causes_in("first.txt"),
        "green": next(
            x for x in (TUTORIAL / "mended.txt").read_text().splitlines() if " agrees " in x
        ),
        "output": {p.stem: p.read_text().strip() for p in TUTORIAL.glob("*.txt")},
    }


def causes_in(name: str) -> str:
    """What a run printed of the answer, the causes and the scripts that show them."""
    lines = (TUTORIAL / name).read_text().splitlines()
    answer = next(line for line in lines if "wrong" in line)
    begin = next(k for k, line in enumerate(lines) if line.startswith("1. "))
    end = next(k for k, line in enumerate(lines) if line.startswith(STATUSES[1:]) and k > begin)
    return "\n".join([answer, *lines[begin:end]])


def speed(peers: Mapping) -> list[dict]:
    """Median seconds of each preset and task: ours in both frameworks, and the public implementation."""
    rows = []
    for preset, found in peers["presets"].items():
        for task, name in (("training", "training step"), ("inference", "inference")):
            seconds = {s: median(x[task]["seconds"]) for s, x in found["systems"].items()}
            public = next(s for s in seconds if s not in ("torch", "jittor"))
            torch, jittor = seconds["torch"], seconds["jittor"]
            ratios = {"ratio": jittor / torch, "public_ratio": torch / seconds[public]}
            row = {"preset": preset, "task": name, "public": public, "public_s": seconds[public]}
            rows.append(row | {"torch": torch, "jittor": jittor} | ratios)
    return rows


def seeds() -> dict:
    """Of the six pairs of runs of scenes_frcnn: last AP and AP50 of both sides."""
    logs = [
        read_log(folder / side / "log.txt")
        for folder in sorted((REFERENCE / "scenes_frcnn").glob("seed*/"))
        for side in ("torch", "jittor")
    ]
    last = [[float(log.metric(k)[1][-1]) for log in logs] for k in (0, 1)]
    return {
        "count": len(logs) // 2,
        "AP": [min(last[0]), max(last[0])],
        "AP50": [min(last[1]), max(last[1])],
    }


def rendered(name: str, about: Mapping) -> str:
    """A README out of its source, and of what the files say."""
    environment = Environment(
        loader=FileSystemLoader(SOURCES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source_file = f"{Path(name).name}.j2"
    source = (SOURCES / source_file).read_text()
    if loose := loose_numbers(source):
        raise InputError(
            f"docs/readme/{source_file}: {', '.join(loose[:8])}: a number that comes from no file; take it from `facts`"
        )
    return environment.from_string(source).render(about)


def loose_numbers(source: str) -> list[str]:
    """Numbers in sentences and tables: not in code, links, names or what is filled in."""
    text = re.sub(
        r"```.*?```|`[^`]*`|\{\{.*?\}\}|\{%.*?%\}|\]\([^)]*\)", " ", source, flags=re.DOTALL
    )
    text = re.sub(r"Apache-2\.0|\b3\.\d+\b|float(?:32|64)|R50|C4|A5-2|EECS 498", " ", text)
    return re.findall(r"(?<![\w.-])\d[\d.,]*", text)


def take_over(path: Path) -> None:
    """The gist of a run and the picture of its matrix, from its report.json."""
    gist = gist_of(read_json(path))
    write_json(GIST, gist)
    draw_matrix(gist["matrix"], PICTURES / "matrix.png")
    say(f"written: {GIST.relative_to(ROOT)}, {(PICTURES / 'matrix.png').relative_to(ROOT)}")


def take_screenshots(red: Path, green: Path) -> None:
    """docs/pictures/red.png and green.png: first screens of two report.html, in Chromium."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (of the extra `dev`)

    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, page in (("red", red), ("green", green)):
            one = browser.new_page(viewport={"width": 1180, "height": 720})
            one.goto(page.resolve().as_uri())
            one.wait_for_timeout(500)
            one.screenshot(path=PICTURES / f"{name}.png")
            say(f"written: docs/pictures/{name}.png")
        browser.close()


def check(name: str, text: str) -> list[str]:
    """What is wrong with a README: lines that the files do not say, too many of them."""
    path = ROOT / name
    found = path.read_text() if path.exists() else ""
    differ = difflib.unified_diff(found.splitlines(), text.splitlines(), name, "the files", n=0)
    wrong = [line for line in differ if not line.startswith("@@")]
    lines = len(text.splitlines())
    too_long = name in READMES and lines > LONGEST
    return wrong + ([f"{name}: {lines} lines, {LONGEST} at most"] if too_long else [])


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 on a difference"
    )
    parser.add_argument("--report", type=Path, help="report.json of a whole run, to be told of")
    parser.add_argument(
        "--screenshots",
        type=Path,
        nargs=2,
        metavar=("RED", "GREEN"),
        help="report.html of a wrong and of a right pair",
    )
    options = parser.parse_args()
    if options.report:
        take_over(options.report)
    if options.screenshots:
        take_screenshots(*options.screenshots)
    about, wrong = facts(), []
    for name in PAGES:
        text = rendered(name, about)
        if options.check:
            wrong += check(name, text)
            continue
        with replacing(ROOT / name) as temporary:
            temporary.write_text(text)
        say(f"written: {name}, {len(text.splitlines())} lines")
    for line in wrong:
        say(line)
    if wrong:
        say("write them anew: python -m scripts.readme")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    run_main(main)
