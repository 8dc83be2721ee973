"""pytest's part of the harness: options `--parity-...`, fixtures `parity_...`, and the report at the end of a run.

An item is the harness's when it uses one of these fixtures; runs without any are left as they are, and nothing but
this file is imported then. Read parity/report/live.py for what is told while a run goes on.
"""

from __future__ import annotations

import importlib
import signal
from pathlib import Path

import pytest

REPORT, LIVE = pytest.StashKey(), pytest.StashKey()
PREFIX = "parity_"


def pytest_addoption(parser):
    group = parser.getgroup("parity")
    group.addoption(
        "--parity-device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="where both sides run",
    )
    group.addoption(
        "--parity-case",
        action="append",
        default=[],
        type=Path,
        metavar="FILE.py",
        help="a pair of your own to compare (docs/pairs.md); repeatable",
    )
    group.addoption(
        "--parity-report",
        default="logs/parity",
        help="folder for report.json and report.html, from the folder of pytest's configuration",
    )


def is_ours(item: pytest.Item) -> bool:
    return any(name.startswith(PREFIX) for name in getattr(item, "fixturenames", ()))


def report_of(config: pytest.Config):
    """The run's Report, made when it is first asked for."""
    if REPORT not in config.stash:
        report = importlib.import_module("parity.report.report")
        config.stash[REPORT] = report.Report(config.rootpath / config.getoption("--parity-report"))
    return config.stash[REPORT]


def live_of(config: pytest.Config):
    """What tells of the run while it goes on, made when it is first asked for."""
    if LIVE not in config.stash:
        live = importlib.import_module("parity.report.live")
        config.stash[LIVE] = live.Live(config, report_of(config))
    return config.stash[LIVE]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Only with items of ours is anything of a run touched."""
    ours = [item for item in session.items if is_ours(item)]
    is_shared = hasattr(session.config, "workerinput")  # by pytest-xdist
    if ours and not (is_shared or session.config.option.collectonly):
        # fixtures are torn down then, workers end, their folders go
        signal.signal(
            signal.SIGTERM, lambda *_: pytest.exit("ended by SIGTERM", 128 + signal.SIGTERM)
        )
        live = live_of(session.config)
        live.expect(ours)
        session.config.pluginmanager.register(live, "parity-live")


@pytest.fixture(scope="session")
def parity_report(pytestconfig):
    """The Report that `parity_conclude` adds to."""
    if hasattr(pytestconfig, "workerinput"):
        told = "the cases of one run share two processes and a report: run them without pytest-xdist's -n"
        pytest.fail(told, pytrace=False)
    return report_of(pytestconfig)


@pytest.fixture(scope="session")
def parity_device(pytestconfig) -> str:
    """cpu or cuda."""
    return pytestconfig.getoption("parity_device")


@pytest.fixture(scope="session")
def parity_scripts(parity_report) -> Path:
    """Folder for scripts that reproduce failures."""
    return parity_report.folder / "reproduce"


@pytest.fixture(scope="session")
def parity_workers(parity_device, parity_report):
    """A PyTorch and a Jittor worker; without a usable GPU, `--parity-device cuda` skips everything and says why."""
    environment, verdicts, workers = (
        importlib.import_module(f"parity.engine.{name}")
        for name in ("ask.environment", "judge.verdicts", "sides.workers")
    )
    errors = importlib.import_module("parity.errors")
    both = workers.Workers(device=parity_device)
    Verdict, Status = verdicts.Verdict, verdicts.Status
    try:
        parity_report.environment, found = environment.examine_environment(both)
    except errors.InputError as error:
        told = Verdict(
            verdicts.ENVIRONMENT, "device", parity_device, Status.NOT_RUN, message=str(error)
        )
        parity_report.add([told])
        both.close()
        pytest.skip(str(error))
    except (errors.WorkerDied, errors.WorkerError) as error:
        told = Verdict(verdicts.ENVIRONMENT, "import", "worker", Status.FAIL, message=str(error))
        parity_report.add([told])
        both.close()
        pytest.fail(f"{error}", pytrace=False)
    parity_report.add(found)
    failed = [v for v in found if v.status is Status.FAIL]
    if failed:
        both.close()
        pytest.fail(f"nothing can be compared here: {failed[0]}", pytrace=False)
    yield both
    both.close()


@pytest.fixture
def parity_stage(pytestconfig):
    """parity_stage(name, verdicts): a part of a long case has been judged; `parity_conclude` is still to come."""
    return live_of(pytestconfig).stage


@pytest.fixture
def parity_conclude(parity_report):
    """parity_conclude(verdicts): into the report, and the test fails on the first FAIL, naming it, or when nothing
    was compared."""
    return concluding(parity_report)


def concluding(report):
    """What `parity_conclude` is for this report."""
    is_nothing = importlib.import_module("parity.engine.judge.verdicts").is_nothing

    def conclude(verdicts) -> None:
        report.add(verdicts)
        if is_nothing(verdicts):
            told = verdicts[0] if verdicts else "there is no verdict"
            pytest.fail(f"nothing was compared: {told}", pytrace=False)
        failures = [v for v in verdicts if v.status == "FAIL"]
        if failures:
            more = f"\n... and {len(failures) - 8} more" if len(failures) > 8 else ""
            first = "\n".join(map(str, failures[:8]))
            pytest.fail(
                f"{len(failures)} of {len(verdicts)} comparisons failed; the first to diverge:\n{first}{more}",
                pytrace=False,
            )

    return conclude


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    result = yield
    if REPORT in item.config.stash and is_ours(item):
        live_of(item.config).note_outcome(item, call, result)
    return result


def pytest_terminal_summary(terminalreporter, config):
    if REPORT in config.stash and config.stash[REPORT].verdicts:
        live_of(config).summarise(terminalreporter)
