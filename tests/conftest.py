"""Fixtures shared by the unit tests."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image

from neutral import notes
from neutral.config import preset, with_overrides
from parity.engine.sides.workers import Worker
from tests import starting, warm

# workers of xdist fill the cores: threads beside them would wait for each other, spinning
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"

# `make test` gives each file to one of two processes, in this order: the longest first, or the last one works alone
LONG = (
    *("test_scripts.py", "test_float64.py", "test_runs.py", "test_ports.py", "test_bench_peers.py"),
    *("test_ranks.py", "test_machine_code.py", "test_wheel.py", "test_interrupted_runs.py"),
    *("test_predict.py", "test_live.py", "test_sides.py", "test_pairs.py", "test_signals.py"),
)


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


@pytest.fixture(autouse=True, scope="session")
def signals_arrive():
    """A shell's background job ignores Ctrl-C, nohup's SIGHUP: so would every process that a test starts and ends."""
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(autouse=True)
def nothing_said():
    """What is said once in a run is said once in every test."""
    notes.forget()


@pytest.fixture(autouse=True)
def jittor_stays_out():
    """Jittor takes over the signals of its process: where a child is killed it ends pytest, or leaves it hanging."""
    before = "jittor_core" in sys.modules
    yield
    assert before or "jittor_core" not in sys.modules, (
        "Jittor belongs into a worker (parity.Worker)"
    )


@pytest.fixture(scope="module")
def warm_workers():
    """Workers are copies of processes that have imported their framework; nothing else about them changes."""
    warm.renew()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "launch", starting.launch)
        yield


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here")
    return SHARED


@pytest.fixture
def tiny_config():
    """A DETR that builds and runs in a moment."""
    return with_overrides(
        preset("scenes_detr"),
        [
            "model.backbone.width=8",
            "model.transformer.hidden_dim=16",
            "model.transformer.feedforward_dim=16",
            "model.transformer.encoder_layers=1",
            "model.transformer.decoder_layers=2",
            "model.transformer.dropout=0.1",
            "data.scenes.train_images=8",
            "data.scenes.val_images=3",
            "optimiser.epochs=2",
            "optimiser.batch_size=4",
        ],
    )


@pytest.fixture
def coco_folder(tmp_path):
    """make(changes) writes a COCO directory of two 40x30 images; `changes` edits the val annotations."""

    def make(edit=None) -> Path:
        root = tmp_path / "coco"
        for split in ("train", "val"):
            (root / f"{split}2017").mkdir(parents=True)
            content = {
                "images": [
                    {"id": i, "file_name": f"{i}.png", "width": 40, "height": 30} for i in (1, 2)
                ],
                "annotations": [
                    {
                        "id": 1,
                        "image_id": 1,
                        "category_id": 3,
                        "bbox": [5, 5, 20, 10],
                        "area": 200,
                        "iscrowd": 0,
                    },
                    {
                        "id": 2,
                        "image_id": 1,
                        "category_id": 1,
                        "bbox": [0, 0, 50, 10],
                        "area": 500,
                        "iscrowd": 0,
                    },
                    {
                        "id": 3,
                        "image_id": 1,
                        "category_id": 1,
                        "bbox": [2, 2, 5, 5],
                        "area": 25,
                        "iscrowd": 1,
                    },
                ],
                "categories": [{"id": 1, "name": "one"}, {"id": 3, "name": "three"}],
            }
            if edit is not None:
                edit(content)
            (root / "annotations").mkdir(exist_ok=True)
            (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
            for i in (1, 2):
                Image.new("RGB", (40, 30), (i * 50, 10, 10)).save(
                    root / f"{split}2017" / f"{i}.png"
                )
        return root

    return make
