"""Trains both frameworks from the same weights on the same batches, and compares the two runs.

`python -m scripts.train_pair --preset scenes_detr --out logs/pair` leaves OUT/torch and OUT/jittor (log.txt,
log.csv, checkpoints), the charts OUT/curves.png, curves.svg and steps.png, and OUT/summary.html with all of it: curves,
losses, throughput, verdicts. `--seeds 0,1,2` does so for every seed, in OUT/seed0 and so on, and judges the
runs over the seeds, too; `--tube 8` runs that many copies of PyTorch, from weights moved by one unit in the last
place, as a measure of how far apart two runs may be. Exit code 1 when a verdict is FAIL. SIGTERM, SIGHUP and Ctrl-C
are passed on: every run writes a checkpoint and ends. When a run dies the others of its time do so, too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from subprocess import PIPE

from rich.progress import Progress

from door.ranges import SEEDS, Range, add_number
from door.terminal import say
from neutral.errors import Ended, InputError
from neutral.locks import owned
from neutral.plots import compare_runs, compare_steps
from neutral.processes import Request, end, how_ended, start, stoppable
from neutral.ranks import check_alone
from neutral.run import read_stream
from neutral.runlog import read_log
from neutral.score_charts import class_bars
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values.scratch import scratch_folder
from parity.suite.runs import compare_streams, draw, judge_runs, judge_tube
from parity.suite.summary import Section, curves, facts_of, per_class, write_summary
from scripts.common import FRAMEWORKS, ProgressReport, make_progress, open_datasets, run_main
from scripts.launcher import check_ranks, read_events
from scripts.options import Parser, add_config_options, add_run_options, config_from, handed
from scripts.pair_pictures import draw_pictures, pictures_in


@dataclass(frozen=True)
class Run:
    """One training run: what it is called in the progress display, its framework, folder, and options of its own."""

    name: str
    framework: str
    folder: Path
    more: Mapping[str, int] = field(default_factory=dict)


def planned(options: argparse.Namespace, seed: int | None, folder: Path) -> list[list[Run]]:
    """Groups of runs that run at the same time: the two frameworks, then copies of PyTorch for the tube."""
    more = {"seed": seed} if seed is not None else {}
    mark = f" seed {seed}" if seed is not None else ""
    both = [Run(f + mark, f, folder / f, more) for f in FRAMEWORKS]
    copies = [
        Run(f"copy {k}{mark}", "torch", folder / "tube" / str(k), more | {"perturb": k})
        for k in range(1, options.tube + 1)
    ]
    size = 1 if options.in_turn else len(FRAMEWORKS)
    return [part[k : k + size] for part in (both, copies) for k in range(0, len(part), size)]


def command(run: Run, options: argparse.Namespace, folder: Path) -> list[str]:
    """Of scripts.train; its options lie in `folder`."""
    # a seed or copy that the earlier call did not have begins anew
    resume = options.resume and (run.folder / "log.txt").exists()
    own = {"framework": run.framework, "out": run.folder, "resume": resume, "json_progress": True}
    given = (folder / f"{run.name}.json", options, add_config_options, add_run_options)
    return [sys.executable, "-m", "scripts.train", *handed(*given, **own | run.more)]


def run_groups(groups: list[list[Run]], options: argparse.Namespace) -> None:
    """Group after group, each run with its share of the cores. Ended when one dies, or this process is told to stop."""
    running: list[Running] = []
    with make_progress() as progress, scratch_folder("pair") as errors:
        with stoppable(lambda: [r.process.terminate() for r in running]) as request:
            for group in groups:
                running[:] = []
                run_group(group, options, progress, errors, running, request)
        if request:
            raise Ended(f"stopped by {request.name}: --resume goes on", request.code)


@dataclass
class Running:
    """A run on its way; `stopped`: it was told to, because another one had died."""

    run: Run
    process: subprocess.Popen
    errors: Path
    stopped: bool = False

    def follow(self, report: ProgressReport, ended: Queue) -> None:
        """Reads its events until it ends."""
        with contextlib.suppress(OSError):  # whoever looked on has gone
            read_events(self.process, report, self.process.terminate)
        ended.put(self)

    def obituary(self) -> list[str]:
        """How it ended, and the last that it said, in lines."""
        tail = self.errors.read_text(errors="replace").strip().splitlines()[-8:]
        return [f"{self.run.name} {how_ended(self.process.returncode)}:", *tail]


def run_group(
    group: list[Run],
    options: argparse.Namespace,
    progress: Progress,
    folder: Path,
    running: list[Running],
    request: Request,
) -> None:
    """Runs of one time; when one fails the others are told at once, and an error says which one and why."""
    threads = max(1, (os.cpu_count() or 2) // len(group))
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    ended: Queue = Queue()
    failed: list[Running] = []
    try:
        for number, run in enumerate(group):
            if request:
                break
            errors = folder / f"{run.name}-{number}"
            with errors.open("w") as file:
                process = start(
                    command(run, options, folder),
                    stdout=PIPE,
                    stderr=file,
                    text=True,
                    errors="replace",
                    env=environment,
                )
            running.append(one := Running(run, process, errors))
            if request:  # it came before this run was in the list
                process.terminate()
            report = ProgressReport(progress, run.name)
            threading.Thread(target=one.follow, args=(report, ended), daemon=True).start()
        for _ in list(running):
            one = ended.get()
            if one.process.returncode and not one.stopped and not request:
                failed.append(one)
                for other in running:
                    other.stopped = other.stopped or other.process.poll() is None
                    other.process.terminate()
    finally:
        end([r.process for r in running])
    if failed:
        others = [f"{r.run.name} was told to stop; --resume goes on" for r in running if r.stopped]
        first, *more = failed[0].obituary()
        code = failed[0].process.returncode
        if code == 2:
            raise InputError(first, *more, *others)
        raise Ended(f"error: {first}", 1, *more, *others)


def compare(folder: Path, tube: int) -> tuple[Section, list[Verdict]]:
    """Charts and verdicts of the pair in `folder`."""
    logs = [read_log(folder / framework / "log.txt") for framework in FRAMEWORKS]
    copies = [read_log(folder / "tube" / str(k) / "log.txt") for k in range(1, tube + 1)]
    name = logs[0].header["config"]["name"]
    labels = (f"PyTorch {name}", f"Jittor {name}")
    charts = {"all curves": folder / "curves.png"}
    noted = compare_runs(*logs, labels, [charts["all curves"], folder / "curves.svg"], copies)
    gap = compare_steps(*logs, labels, folder / "steps.png")
    if gap is not None:
        charts["every step"] = folder / "steps.png"
    scores = [
        next((e["test_per_class"] for e in reversed(log.epochs) if "test_per_class" in e), {})
        for log in logs
    ]
    if any(v is not None for found in scores for v in found.values()):
        charts["AP by class"] = folder / "classes.png"
        class_bars(list(zip(labels, scores)), "AP by class, last epoch", [charts["AP by class"]])
    streams = [read_stream(folder / framework / "stream.jsonl") for framework in FRAMEWORKS]
    hashes = [str(stream[-1].get("chain", "")) if stream else "" for stream in streams]
    verdicts = [compare_streams(name, *streams)]
    verdicts += judge_tube(name, *logs, copies) if tube else []
    facts = dict(zip(("PyTorch", "Jittor"), map(facts_of, logs)))
    same = "none (configuration, seed and data are the same)"
    notes = ["differences between the runs: " + ("; ".join(noted) or same)]
    if gap is not None:
        notes.append(f"greatest relative difference of a step's loss: {gap:.2e}")
    for side, found in zip(facts.values(), hashes):
        side |= {"hash of the data stream": found} if found else {}
    pictures = pictures_in(folder)
    title = f"{name}, seed {logs[0].header['config']['seed']}"
    more = (curves(logs, copies), per_class(scores), pictures)
    return Section(title, facts, notes, charts, *more), verdicts


def tell(section: Section) -> None:
    say(f"{section.title}:")
    for framework, facts in section.facts.items():
        say(f"  {framework}: " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    for line in section.notes:
        say(f"  {line}")


def read_seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--seeds {text}: give numbers with commas, as 0,1,2") from None
    for seed in seeds:
        SEEDS.checked(seed, "--seeds: seed")
    if len(set(seeds)) != len(seeds):
        raise InputError(f"--seeds {text}: each seed once")
    return seeds


def main() -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_options(parser)
    add_run_options(parser)
    parser.add_argument("--seeds", help="several pairs of runs, as 0,1,2")
    add_number(
        parser,
        "--tube",
        int,
        Range(0, 1000),
        default=0,
        metavar="N",
        help="copies of PyTorch's run; 8 make a tube",
    )
    add_number(
        parser,
        "--pictures",
        int,
        Range(0, 100),
        default=4,
        metavar="N",
        help="validation images whose boxes of both sides the summary shows; 0 leaves them out",
    )
    parser.add_argument(
        "--in-turn", action="store_true", help="one framework after the other, for fair throughput"
    )
    options = parser.parse_args()
    check_alone("train_pair")
    config = config_from(options)
    seeds = read_seeds(options.seeds) if options.seeds else [None]
    # bad input shows now and once, and scenes are generated before both need them
    datasets = open_datasets(config, 0)
    if options.ranks > 1:
        check_ranks(FRAMEWORKS, config, len(datasets["train"]), options.ranks)
    folders = [options.out if s is None else options.out / f"seed{s}" for s in seeds]
    groups = [group for s, f in zip(seeds, folders) for group in planned(options, s, f)]
    with owned(options.out) as notes:
        for text in notes:
            print(text, file=sys.stderr)
        run_groups(groups, options)
        for folder in folders if options.pictures else ():
            draw_pictures(folder, options)
        return judge(options, config.name, seeds, folders)


def judge(options: argparse.Namespace, name: str, seeds: list, folders: list[Path]) -> int:
    """Charts, verdicts and the summary of finished runs; the exit code."""
    sections, verdicts = [], []
    for folder in folders:
        section, found = compare(folder, options.tube)
        tell(section)
        sections.append(section)
        verdicts += found
    if options.seeds:
        found, seeds_curves = judge_runs(folders)
        verdicts += [v for v in found if v.check != "data streams"]
        draw(seeds_curves, options.out / "seeds.png")
        charts = {"all seeds": options.out / "seeds.png"}
        sections.insert(0, Section(f"{name}, {len(seeds)} seeds", {}, [], charts))
    for verdict in verdicts:
        say(verdict)
    summary = write_summary(options.out / "summary.html", name, sections, verdicts)
    say(f"summary: {summary}; charts: {', '.join(str(f / 'curves.png') for f in folders)}")
    return int(any(v.status is Status.FAIL for v in verdicts))


if __name__ == "__main__":
    run_main(main)
