"""What a person sees of a run of the suite while it runs: pytest's part in it.

On a terminal a table that changes (board.py). Elsewhere, and with -v, a line per case as it ends, a line per stage of a
long one, and what is going on in between. The report is written anew as cases finish. Cases are run in the order of
`order.py`.
"""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from door.process import peak_memory
from door.terminal import Console
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values.kernels import Kernels
from parity.errors import InputError, WorkerDied, WorkerError
from parity.report.board import Board
from parity.report.lines import group_of, line_of, name_of, overall, readable
from parity.report.report import FINISHED, INTERRUPTED, RUNNING, Progress, Report, Timing
from parity.report.screen import Reminder, Screen, Ticker, duration
from parity.report.terminal import conclude, on_terminal, shown

EVERY = 10.0  # seconds between two lines about a case that goes on, where lines cannot be replaced
MARKS = {"FAIL": {"red": True}, "PASS": {"green": True}}


class Live:
    """The plugin of a run that has items of ours (see parity/pytest_plugin.py)."""

    def __init__(self, config: pytest.Config, report: Report):
        self.config, self.report = config, report
        self.folded_files: tuple[
            str, ...
        ] = ()  # short cases of these are told together as long as they pass
        self.reporter = None  # pytest's own, which is not there yet
        self.screen: Screen | Board | None = None
        self.reminder = Reminder(EVERY)
        self.kernels = Kernels()
        self.running = ""
        self.case_began = time.monotonic()
        self.line_begun = False  # by pytest, with -v
        self.compiled, self.compiled_at = 0, -EVERY
        self.watch = Timing()
        self.outcomes: dict[str, str] = {}  # of the case that runs, by phase
        self.folded: list[tuple[float, list[Verdict]]] = []
        self.seen = 0  # verdicts told so far
        self.names: dict[str, str] = {}

    # the run

    def expect(self, items: list) -> None:
        """The items that are ours."""
        self.names = {item.nodeid: name_of(item) for item in items}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session):
        if not self.names or self.config.option.collectonly:
            return (yield)
        self.report.progress = Progress(RUNNING, 0, len(self.names))
        self.report.write()
        self.reporter = self.config.pluginmanager.getplugin("terminalreporter")
        # quiet is quiet, and a worker of pytest-xdist has no terminal
        if self.reporter is not None and self.config.option.verbose >= 0:
            self.screen = self.make_screen(self.reporter._tw._file)
        before = signal.signal(signal.SIGTERM, terminated)
        try:
            with Ticker(self.tick, 1.0):
                return (yield)
        finally:
            signal.signal(signal.SIGTERM, before)

    def whole(self) -> bool:
        """Whether a person looks at a terminal, and asked for neither more nor less."""
        file = self.reporter._tw._file if self.reporter is not None else None
        return self.config.option.verbose == 0 and on_terminal(Console(file=file))

    def make_screen(self, file) -> Screen | Board:
        if not self.whole():
            return Screen(file, self.reporter._tw.fullwidth)
        groups = Counter(group_of(name) for name in self.names.values())
        return Board(file, groups)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session) -> None:
        if self.names:
            progress = self.report.progress
            progress.state = FINISHED if progress.done == progress.cases else INTERRUPTED
            self.report.write()
        if self.screen is not None:
            self.tell_folded()
            self.screen.close()
            self.screen = None

    # one case

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if nodeid not in self.names:
            return
        name = self.names[nodeid]
        self.outcomes, self.case_began = {}, time.monotonic()
        self.seen = len(self.report.verdicts)
        self.report.progress.running = readable(name)
        if self.folded and not name.startswith(self.folded_files):
            self.tell_folded()
        if self.screen is not None and self.config.option.verbose == 0:
            # pytest need not begin a line with the file's name: a line of ours will follow
            self.reporter.ensure_newline()
            self.reporter.currentfspath = self.config.rootpath / nodeid.partition("::")[0]
        self.line_begun = self.config.option.verbose > 0
        self.reminder.restart()
        self.running = name

    def pytest_report_teststatus(self, report, config):
        """No dots among the lines; the numbers at the end stay right."""
        if self.screen is None or config.option.verbose > 0 or report.nodeid not in self.names:
            return None
        if report.when != "call" and report.passed:
            return "", "", ""
        category = "error" if report.failed and report.when != "call" else report.outcome
        return category, "", " "

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report) -> None:
        if report.nodeid in self.names:
            self.outcomes[report.when] = report.outcome
            if report.when == "call" or not report.passed:
                self.rest()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        if nodeid not in self.names:
            return
        name = self.names[nodeid]
        self.rest()
        seconds = time.monotonic() - self.case_began
        verdicts = self.report.verdicts[self.seen :]
        self.report.early = []
        progress = self.report.progress
        progress.done, progress.running = progress.done + 1, ""
        self.report.timings.append(self.watch.of(readable(name)))
        if self.screen is not None:
            if self.config.option.verbose > 0:
                self.reporter.ensure_newline()
            self.reporter.currentfspath, self.line_begun = None, False
            status = overall(verdicts, self.outcomes.values())
            if isinstance(self.screen, Board):
                self.screen.add(group_of(name), status, verdicts, seconds)
            if isinstance(self.screen, Board) and status != "FAIL":
                pass  # the table has it
            elif name.startswith(self.folded_files) and status == "PASS":
                self.folded.append((seconds, verdicts))
            else:
                self.tell(status, readable(name), verdicts, seconds)
            if progress.done == progress.cases:
                self.tell_folded()
        self.report.write_when_due()

    def note_outcome(self, item: pytest.Item, call, result) -> None:
        """A worker that died, or a skipped case, becomes a verdict too."""
        case, problem = item.name, call.excinfo
        if problem is not None and problem.errisinstance((WorkerDied, WorkerError, InputError)):
            node = getattr(problem.value, "node", "(run)")
            message = str(problem.value)
            self.report.add([Verdict(case, "worker", node, Status.FAIL, message=message)])
            if problem.errisinstance(WorkerError):
                result.longrepr = f"{problem.value}\n{problem.value.details}"
        elif result.skipped:
            reason = str(result.longrepr[-1])
            self.report.add([Verdict(case, "case", "(all)", Status.NOT_RUN, message=reason)])

    def summarise(self, terminal) -> None:
        """What the run came to, and where the report is."""
        terminal.write_line("")
        width = terminal._tw.fullwidth if self.whole() else max(terminal._tw.fullwidth, 120)
        console = Console(file=terminal._tw._file, width=width)
        conclude(self.report.to_dict(), shown(self.report.folder), console, self.whole())
        terminal.write_line(f"this process took {peak_memory():.0f} MiB at most")

    # what is told

    def stage(self, name: str, verdicts: list[Verdict]) -> None:
        """A part of the case that runs has been judged."""
        self.report.add_early(verdicts)
        if self.screen is not None and verdicts:
            seconds = time.monotonic() - self.case_began
            line = line_of(overall(verdicts, ()), name, verdicts, seconds)
            if isinstance(self.screen, Board):
                self.screen.stage = line
            else:
                self.write(f"      {line}")
            self.reminder.restart()
        self.report.write_when_due()

    def tell(self, status: str, name: str, verdicts: list[Verdict], seconds: float) -> None:
        place = f"{self.report.progress.done}/{self.report.progress.cases}"
        self.write(f"{place:>7} {line_of(status, name, verdicts, seconds)}", status)

    def tell_folded(self) -> None:
        if self.folded:
            verdicts = [v for _, found in self.folded for v in found]
            seconds = sum(seconds for seconds, _ in self.folded)
            self.tell("PASS", f"{len(self.folded)} entries of the atlas", verdicts, seconds)
            self.folded = []

    def write(self, text: str, status: str = "") -> None:
        begun, self.line_begun = self.line_begun, False
        if isinstance(self.screen, Board):
            self.screen.line(text, status)
            return
        text = self.reporter._tw.markup(text, **MARKS.get(status, {}))
        if begun:
            self.screen.line("")
        self.screen.line(text)

    def rest(self) -> None:
        """No case runs for the moment, and pytest may write."""
        self.running = ""
        if self.screen is not None:
            self.screen.change("")

    def tick(self) -> None:
        """Called every second from a thread of its own: what runs, for how long, and what Jittor compiles."""
        name, now = self.running, time.monotonic()
        if self.screen is None or not name:
            return
        fresh = self.kernels.fresh()
        if fresh != self.compiled:
            self.compiled, self.compiled_at = fresh, now
        if isinstance(self.screen, Board):
            self.screen.group = group_of(name)
        text = f"        {readable(name)}, for {duration(now - self.case_began)}"
        if now - self.compiled_at < (3.0 if self.screen.in_place else EVERY):
            text += f": compiling Jittor's kernels, {fresh} so far"
        if self.screen.in_place:
            self.screen.change(text)
        elif self.reminder.due(fresh):
            self.write(text)


def terminated(*_) -> None:
    """SIGTERM ends the run as Ctrl-C does: workers are closed and the report is written."""
    raise KeyboardInterrupt("SIGTERM")
