"""Several processes that train one model: shares, agreement, launchers, and the run that they make together."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import load_file
from torch.utils.data import DistributedSampler

from door.threads import threads
from neutral import ranks
from neutral.checkpoints import Place
from neutral.config import preset, with_overrides
from neutral.data.batching import train_order, train_share
from neutral.errors import InputError, NonFinite
from neutral.launchers import check_launcher, launcher_command, launcher_environment
from neutral.processes import endable, stoppable
from neutral.ranks import (
    Elsewhere,
    check_alike,
    check_joined,
    check_same_tensors,
    check_shares,
    seat_of,
    share,
)
from neutral.run.start import other_shares
from neutral.runlog import read_log
from scripts.bench_ranks import predicted, slowest
from scripts.launcher import obituary, read_events
from tests.commands import TINY, run

OPTIONS = (*TINY, "--set=optimiser.epochs=1", "--set=optimiser.batch_size=2")
needs_mpi = pytest.mark.skipif(
    shutil.which("mpirun") is None or shutil.which("mpicc") is None, reason=ranks.NO_MPI
)
BOTH = ["torch", pytest.param("jittor", marks=needs_mpi)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of one epoch on two ranks, by framework."""
    folders: dict = {}

    def made(framework: str):
        if framework not in folders:
            folders[framework] = tmp_path_factory.mktemp(framework)
            run(
                *("train", f"--framework={framework}", *OPTIONS, "--ranks=2", "--tensorboard"),
                f"--out={folders[framework]}",
            )
        return folders[framework]

    return made


class Threads:
    """A group of threads: what neutral.ranks asks of one."""

    def __init__(self, size: int):
        self.size, self.local, self.barrier = size, threading.local(), threading.Barrier(size)
        self.values: list = [None] * size

    @property
    def rank(self) -> int:
        return self.local.rank

    def exchanged(self, value) -> list:
        self.values[self.rank] = value
        self.barrier.wait(10)
        found = list(self.values)
        self.barrier.wait(10)
        return found

    def mean(self, values: list[float]) -> list[float]:
        return np.mean(self.exchanged(values), axis=0).tolist()

    def gather(self, value) -> list:
        return found if (found := self.exchanged(value)) and self.rank == 0 else []

    def tell(self, value):
        return self.exchanged(value)[0]

    def run(self, work) -> list:
        """work(group, rank) of every rank: results, or the errors that it raised."""

        def one(rank: int):
            self.local.rank = rank
            try:
                return work(self, rank)
            except InputError as error:
                return error

        with ThreadPoolExecutor(self.size) as pool:
            return list(pool.map(one, range(self.size)))


@pytest.mark.parametrize(("length", "size"), [(10, 2), (10, 3), (7, 2), (4, 4), (3, 5), (8, 1)])
def test_shares_are_those_of_distributed_sampler(length, size):
    for rank in range(size):
        sampler = DistributedSampler(range(length), size, rank, shuffle=False)
        assert share(length, rank, size).tolist() == list(sampler)


def test_the_ranks_of_a_step_have_what_one_process_would_have_in_a_batch():
    order = train_order(12, 5, 3)
    shares = [train_share(12, 5, 3, rank, 3) for rank in range(3)]
    for step in range(2):
        together = {int(i) for own in shares for i in own[2 * step : 2 * step + 2]}
        assert together == set(order[6 * step : 6 * step + 6].tolist())


def test_shares_that_leave_a_rank_without_work_are_refused():
    check_shares(8, 2, 2, 2)
    with pytest.raises(InputError, match="5 ranks share 4 training images: some would have none"):
        check_shares(4, 1, 1, 5)
    with pytest.raises(InputError, match=r"3 images.*|3 each, and a step takes 2 x 2 of every"):
        check_shares(6, 2, 2, 2)


def test_an_error_of_one_rank_is_an_error_of_all():
    def work(group, rank):
        def own():
            if rank == 1:
                raise NonFinite("the loss is nan")
            return rank

        return ranks.together(group, own)

    first, second, third = Threads(3).run(work)
    assert isinstance(second, NonFinite) and str(second) == "the loss is nan"
    for found in (first, third):
        assert isinstance(found, Elsewhere) and str(found) == "rank 1: the loss is nan"
        assert found.kind == "NonFinite" and found.agreed and found.exit_code == 2
    assert Threads(2).run(lambda group, rank: ranks.together(group, lambda: rank)) == [0, 1]


def test_what_the_first_rank_does_the_others_get():
    asked = []

    def work(group, rank):
        return ranks.on_first(group, lambda: asked.append(rank) or "done")

    assert Threads(3).run(work) == ["done"] * 3 and asked == [0]


def test_ranks_that_differ_are_told_in_what():
    facts = [{"the source": "a", "optimiser.lr": "0.1"}, {"the source": "a", "optimiser.lr": "1"}]
    found = Threads(2).run(lambda group, rank: check_alike(group, facts[rank]))
    assert "rank 1 differs from rank 0 in optimiser.lr: 1 there, 0.1 here" in str(found[0])
    sums = [{"a": "1", "b": "2"}, {"a": "1", "b": "2"}, {"a": "1", "b": "3"}]
    found = Threads(3).run(lambda g, r: check_same_tensors(g, sums[r], "after epoch 4"))
    assert "after epoch 4: b of rank 2 is not what rank 0 has (1 of 3 ranks" in str(found[0])
    assert all(isinstance(error, Elsewhere) for error in found[1:])


def test_another_number_of_ranks_repeats_less_than_a_step():
    config = with_overrides(preset("scenes_detr"), ["optimiser.batch_size=2"])
    place = Place(epoch=3, step=60, losses=[{}] * 5, ranks=2)  # 5 x 2 x 2 = 20 images
    text, again = other_shares(place, 2, 3, config)
    assert (place.done, place.ranks, place.step) == (3, 3, 60)  # 18 of them in whole steps
    assert (
        "resumed on 3 ranks, 2 then" in text and "2 images of epoch 4 come a second time" in again
    )


def test_another_batch_size_leaves_no_image_out():
    config = with_overrides(preset("scenes_detr"), ["optimiser.batch_size=8"])
    place = Place(epoch=1, step=40, losses=[{}] * 5, ranks=1)  # 5 x 2 = 10 images
    assert other_shares(place, 2, 1, config) == ["2 images of epoch 2 come a second time"]
    assert place.done == 1


def test_the_other_frameworks_launcher_is_refused(monkeypatch):
    for name in ranks.VARIABLES["torchrun"]:
        monkeypatch.setenv(name, "1" if "RANK" in name else "2")
    assert seat_of("torch") == ranks.Seat(1, 2, 1, 2)
    with pytest.raises(InputError, match=r"jittor under torchrun: .* started by mpirun"):
        seat_of("jittor")
    for name in ranks.VARIABLES["mpirun"]:  # as where mpirun starts a torchrun on each machine
        monkeypatch.setenv(name, "0" if "RANK" in name else "3")
    assert seat_of("torch") == ranks.Seat(1, 2, 1, 2)
    assert seat_of("jittor") == ranks.Seat(0, 3, 0, 3)


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (("1", "2", "", ""), "RANK=1, WORLD_SIZE=2, no LOCAL_RANK, no LOCAL_WORLD_SIZE"),
        (("5", "2", "0", "2"), "RANK=5, WORLD_SIZE=2"),
        (("0", "\u00b2", "0", "2"), "WORLD_SIZE=\u00b2"),
        (("0", "2", "2", "2"), "LOCAL_RANK=2"),
        (("0", "0", "0", "0"), "WORLD_SIZE=0"),
    ],
)
def test_variables_that_no_launcher_set_are_refused(values, wrong, monkeypatch):
    for name, value in zip(ranks.VARIABLES["torchrun"], values):
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"{wrong}.*Start with torchrun; .* unset RANK WORLD_SIZE"):
        seat_of("torch")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert seat_of("torch") == ranks.Seat()


def test_a_framework_that_finds_another_seat_is_told():
    check_joined("jittor", ranks.Seat(1, 2, 1, 2), 1, 2)
    with pytest.raises(
        InputError, match=r"say rank 1 of 2, jittor finds rank 0 of 1.* unset OMPI_"
    ):
        check_joined("jittor", ranks.Seat(1, 2, 1, 2), 0, 1)


@pytest.mark.parametrize(
    ("text", "count"),
    [("4,2", 4), (" 3 ", 3), ("", None), ("abc", None), ("0", None), ("-1", None)],
)
def test_threads_are_read_as_openmp_reads_them(text, count, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads() == count
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert launcher_environment("torch", 2)["OMP_NUM_THREADS"] == str((count or 8) // 2)


def test_signals_end_at_once_what_only_waits():
    with stoppable() as request:
        with endable():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        signal.raise_signal(signal.SIGTERM)
        assert request.name == "SIGTERM"


def test_events_that_nobody_takes_end_the_run():
    many = "import json\nfor k in range(10**6): print(json.dumps({'k': k, 'more': 'x' * 100}))"
    process = subprocess.Popen([sys.executable, "-c", many], stdout=subprocess.PIPE, text=True)
    taken = []

    def report(event: dict) -> None:
        taken.append(event["k"])
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        read_events(process, report, process.terminate)
    assert taken == [0] and process.returncode == -signal.SIGTERM


def test_no_mpi_is_told_with_its_packages(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no mpirun: apt-get install -y openmpi-bin"):
        check_launcher("jittor")
    check_launcher("torch")
    assert launcher_command("jittor", 3, ["scripts.train"])[:3] == ["mpirun", "-np", "3"]


def test_deaths_are_read_from_what_the_launchers_say(tmp_path):
    said = tmp_path / "said"
    said.write_text(
        "Root Cause (first observed failure):\n[0]:\n  host      : here\n  rank      : 3 (local_rank: 3)\n"
        "  exitcode  : -9 (pid: 77)\n"
    )
    assert "rank 3 was killed by SIGKILL (of 4)" in str(obituary("torch", 4, 1, said, tmp_path))
    assert "no checkpoint yet: begin anew" in str(obituary("torch", 4, 1, said, tmp_path))
    (tmp_path / "checkpoint.safetensors").touch()
    assert "--resume goes on from" in str(obituary("torch", 4, 1, said, tmp_path))
    said.write_text(
        "mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 11 (Segmentation)."
    )
    assert "rank 1 was killed by SIGSEGV" in str(obituary("jittor", 2, 139, said, tmp_path))
    said.write_text("error: rank 1 of 2: no such image\n  a detail\nRoot Cause\n rank : 1\n")
    found = obituary("torch", 2, 1, said, tmp_path)
    assert isinstance(found, InputError) and str(found) == "rank 1 of 2: no such image"
    assert found.details == ("a detail",)
    said.write_text(
        "Traceback\nValueError: bad\nerror: rank 0 of 2 has lost another rank\nrank : 1\n"
    )
    assert "ValueError: bad" in str(obituary("torch", 2, 1, said, tmp_path))
    said.write_text("something else\n")
    assert "ended with exit code 5" in str(obituary("torch", 2, 5, said, tmp_path))


@pytest.mark.parametrize("framework", BOTH)
def test_two_ranks_train_on_all_images_and_evaluate_each_once(framework, runs):
    log = read_log(runs(framework) / "log.txt")
    assert log.header["environment"]["ranks"] == 2 == log.epochs[0]["ranks"]
    assert log.epochs[0]["test_images"] == 3
    links = [json.loads(line) for line in (runs(framework) / "stream.jsonl").open()]
    assert [(x["batch"], x["rank"]) for x in links] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert sorted(i for x in links for i in x["images"]) == list(range(1, 9))
    board = runs(framework) / "tensorboard"
    assert [len(list((board / part).iterdir())) for part in ("train", "val")] == [1, 1]


@needs_mpi
def test_both_frameworks_make_the_same_run(runs):
    logs = [read_log(runs(framework) / "log.txt").epochs[0] for framework in ("torch", "jittor")]
    assert logs[1]["train_step_losses"] == pytest.approx(logs[0]["train_step_losses"], rel=1e-5)
    streams = [(runs(f) / "stream.jsonl").read_text() for f in ("torch", "jittor")]
    assert streams[0] == streams[1]
    one, two = (load_file(runs(f) / "checkpoint.safetensors") for f in ("torch", "jittor"))
    weights = [name for name in one if not name.startswith("optimiser/")]
    for name in weights:
        assert np.allclose(one[name], two[name], rtol=1e-3, atol=1e-4), name


def test_one_process_goes_on_with_the_run_of_two(runs, tmp_path):
    folder = shutil.copytree(runs("torch"), tmp_path / "run")
    longer = [o.replace("epochs=1", "epochs=2") for o in OPTIONS]
    run("train", "--framework=torch", *longer, "--resume", f"--out={folder}")
    lines = [json.loads(line) for line in (folder / "log.txt").open()]
    assert any("resumed on 1 ranks, 2 then" in line.get("note", "") for line in lines)
    assert [line["epoch"] for line in lines if "epoch" in line] == [0, 1]
    assert "ranks" not in lines[-1]


def test_too_many_ranks_are_refused_before_anything_starts(tmp_path):
    options = ("train", "--framework=torch", *OPTIONS, f"--out={tmp_path}")
    failed = run(*options, "--ranks=9", code=2)
    assert failed.stderr.strip() == ("error: 9 ranks share 8 training images: some would have none")
    assert not list(tmp_path.iterdir())


def test_the_model_of_a_step_is_that_of_a_ring():
    """2 x 7/8 of 160 MB over 150 GB/s is 1.87 ms, and 2 x 3 hops of 5 us: hidden behind the backward pass, or seen."""
    hidden, seen = (predicted(8, 160_000_000, 0.0, overlap) for overlap in (True, False))
    assert hidden["all_reduce"] == pytest.approx(1.8667e-3 + 3e-5, rel=1e-3)
    assert hidden["seen"] == 0 and seen["seen"] == seen["all_reduce"]
    assert seen["step"] - hidden["step"] == pytest.approx(seen["seen"])
    many = [predicted(n, 160_000_000, 0.1, True)["efficiency"] for n in (8, 64, 512)]
    assert slowest(8) == pytest.approx(1.4236, rel=0.01)  # of tables of order statistics
    assert 1 > many[0] > many[1] > many[2] > 0.5
