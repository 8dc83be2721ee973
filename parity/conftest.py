"""Options and fixtures of `pytest parity/`, and the report at its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from neutral.errors import InputError
from neutral.files import peak_memory
from parity.environment import CASE, examine_environment
from parity.live import Live
from parity.report import Report
from parity.verdicts import Status, Verdict
from parity.workers import Pair, WorkerDied, WorkerError

ROOT = Path(__file__).resolve().parent.parent
REPORT, LIVE = pytest.StashKey[Report](), pytest.StashKey[Live]()


def pytest_addoption(parser):
    group = parser.getgroup("parity")
    group.addoption(
        "--framework-device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="where both frameworks run",
    )
    group.addoption(
        "--pair",
        action="append",
        default=[],
        type=Path,
        metavar="FILE.py",
        help="a pair of modules of your own to compare (docs/pairs.md); repeatable",
    )
    group.addoption(
        "--parity-report", default="logs/parity", help="folder for report.json and report.html"
    )


def pytest_configure(config):
    folder = Path(config.getoption("--parity-report"))
    report = config.stash[REPORT] = Report(folder if folder.is_absolute() else ROOT / folder)
    config.stash[LIVE] = Live(config, report, Path(__file__).parent)
    config.pluginmanager.register(config.stash[LIVE], "parity-live")


@pytest.fixture(scope="session")
def report(pytestconfig) -> Report:
    return pytestconfig.stash[REPORT]


@pytest.fixture(scope="session")
def device(pytestconfig) -> str:
    return pytestconfig.getoption("--framework-device")


@pytest.fixture(scope="session")
def pair(device, report):
    """The two workers; without a usable GPU, `--framework-device cuda` skips everything and says why."""
    pair = Pair(device)
    try:
        report.environment, verdicts = examine_environment(pair)
    except InputError as error:
        report.add([Verdict(CASE, "device", device, Status.NOT_RUN, message=str(error))])
        pair.close()
        pytest.skip(str(error))
    except (WorkerDied, WorkerError) as error:
        report.add([Verdict(CASE, "import", "worker", Status.FAIL, message=str(error))])
        pair.close()
        pytest.fail(f"{error}; scripts/doctor says more", pytrace=False)
    report.add(verdicts)
    failed = [v for v in verdicts if v.status is Status.FAIL]
    if failed:
        pair.close()
        pytest.fail(f"nothing can be compared here: {failed[0]}", pytrace=False)
    yield pair
    pair.close()


@pytest.fixture(scope="session")
def scripts(report) -> Path:
    """Where scripts that reproduce failures go."""
    return report.folder / "reproduce"


@pytest.fixture(scope="session")
def scenes_folder() -> Path:
    return ROOT / "logs" / "data"


@pytest.fixture
def stage(pytestconfig):
    """stage(name, verdicts): a part of a long case has been judged; `conclude` is still to come."""
    return pytestconfig.stash[LIVE].stage


@pytest.fixture
def conclude(report):
    """conclude(verdicts): into the report, and the test fails on the first FAIL, naming it."""

    def judge(verdicts: list[Verdict]) -> None:
        assert verdicts, "a test that compared nothing"
        report.add(verdicts)
        failures = [v for v in verdicts if v.status is Status.FAIL]
        if failures:
            more = f"\n... and {len(failures) - 8} more" if len(failures) > 8 else ""
            first = "\n".join(map(str, failures[:8]))
            pytest.fail(
                f"{len(failures)} of {len(verdicts)} comparisons failed; the first to diverge:\n{first}{more}",
                pytrace=False,
            )

    return judge


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A worker that died, or a skipped case, becomes a verdict too."""
    result = (yield).get_result()
    report, case = item.config.stash[REPORT], item.name
    if call.excinfo is not None and call.excinfo.errisinstance(
        (WorkerDied, WorkerError, InputError)
    ):
        node = getattr(call.excinfo.value, "node", "(run)")
        message = str(call.excinfo.value)
        report.add([Verdict(case, "worker", node, Status.FAIL, message=message)])
        if call.excinfo.errisinstance(WorkerError):
            result.longrepr = f"{call.excinfo.value}\n{call.excinfo.value.details}"
    elif result.skipped:
        report.add(
            [Verdict(case, "case", "(all)", Status.NOT_RUN, message=str(result.longrepr[-1]))]
        )


def pytest_terminal_summary(terminalreporter, config):
    report = config.stash[REPORT]
    if not report.verdicts:
        return
    terminalreporter.write_line("")
    report.print(Console(width=max(terminalreporter._tw.fullwidth, 120)))
    counts = ", ".join(f"{count} {status}" for status, count in report.counts().items())
    paths = [report.folder / f"report.{kind}" for kind in ("html", "json")]
    shown = [p.relative_to(ROOT) if p.is_relative_to(ROOT) else p for p in paths]
    terminalreporter.write_line(
        f"verdicts: {counts}; report: {shown[0]} and {shown[1]}; this process took {peak_memory():.0f} MiB at most"
    )
