"""Several processes that train one model: shares, agreement, launchers, and the run that they make together."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import load_file
from torch.utils.data import DistributedSampler

from neutral import ranks
from neutral.checkpoints import Place
from neutral.config import preset, with_overrides
from neutral.data.batching import train_order, train_share
from neutral.errors import InputError, NonFinite
from neutral.ranks import (
    Elsewhere,
    check_alike,
    check_same_tensors,
    check_shares,
    share,
)
from neutral.run.start import other_shares
from neutral.runlog import read_log
from scripts.bench_ranks import predicted, slowest
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
    for command in (options, ("train_pair", *OPTIONS, f"--out={tmp_path}")):
        failed = run(*command, "--ranks=9", code=2)
        assert failed.stderr == "error: 9 ranks share 8 training images: some would have none\n"
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
