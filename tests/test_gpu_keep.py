"""What a lease found is kept whole and small, however far it came (scripts/gpu/keep.py)."""

from __future__ import annotations

import json
import tarfile

import pytest

from neutral.errors import InputError
from scripts.gpu.keep import MOST, keep
from scripts.gpu.plan import ROOT

FAILURE = {
    "check": "forward",
    "node": "conv1",
    "measured": 2e-3,
    "limit": 1e-4,
    "message": "too\nfar",
}
NO_NUMBER = {
    "check": "names",
    "node": "a",
    "measured": 3.0,
    "limit": None,
    "message": "only torch has a",
}
PARTS = {
    "frameworks": {
        "told": {"torch": {"device_name": "NVIDIA H100 80GB HBM3"}},
        "verdicts": {"PASS": 3},
    },
    "product": {"verdicts": {"PASS": 1, "FAIL": 1}, "failures": [FAILURE, NO_NUMBER], "failed": 2},
    "nms, jittor": {"runs": 5, "different results": 2},
}


def step(state: str = "done", **more) -> dict:
    return {
        "state": state,
        "seconds": 3.0,
        "tail": ["said last"],
        "finished": "2026-12-01 10:00:00",
    } | more


@pytest.fixture
def lease(tmp_path):
    folder = tmp_path / "lease" / "gpu"
    (folder / "kernels").mkdir(parents=True)
    steps = {
        "gates": step("time was up", found="gates.json: not valid JSON"),
        "environment": step("failed", found={"parts": PARTS}),
        "ops": step("failed", found={"parts": {}, "broke down": "RuntimeError: CUDA error\nhere"}),
    }
    record = {"format": 2, "device": "cuda", "machine": {"cpu": "Xeon"}, "steps": steps}
    (folder / "check.json").write_text(json.dumps(record))
    (folder / "kernels" / "report.json").write_text("{}")
    (folder / "weights.npz").write_bytes(b"no")
    (folder / "a.log").write_text("x" * (MOST - 4000))
    (folder / "b.log").write_text("y" * MOST)
    return folder


def test_a_lease_is_kept(lease, tmp_path):
    archive = tmp_path / "gpu.tgz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(lease, "gpu")
    for source in (archive, lease, lease.parent):  # again: what we wrote is written anew
        out, missed = keep(source, tmp_path / "kept")
        assert out.name == "2026-12-01-nvidia-h100-80gb-hbm3" and missed == 1
        kept = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
        assert kept == {"check.json", "summary.md", "kernels/report.json", "a.log"}
        assert sum(p.stat().st_size for p in out.rglob("*") if p.is_file()) <= MOST
    text = (out / "summary.md").read_text()
    assert "| environment | failed |  | 3.0 |  | 3 | 4 PASS, 1 FAIL |" in text
    assert text.index("| environment") < text.index("| gates"), "in the plan's order"
    for told in (
        "product: forward, `conv1` (2.0e-03, limit 1.0e-04) too far",
        "product: names, `a` only torch has a",
        "nms, jittor: 2 different results in 5 runs",
        "broke down: RuntimeError: CUDA error",
        "said last",
    ):
        assert told in text


def test_what_is_no_lease_is_one_error(lease, tmp_path):
    mine = tmp_path / "kept" / "2026-12-01-nvidia-h100-80gb-hbm3"
    mine.mkdir(parents=True)
    (mine / "mine.txt").write_text("kept")
    with pytest.raises(InputError, match="no GPU check made it"):
        keep(lease, tmp_path / "kept")
    assert [p.name for p in mine.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no check\.json"):
        keep(tmp_path / "empty", tmp_path / "other")
    (tmp_path / "no.tgz").write_text("no archive")
    with pytest.raises(InputError, match="no archive of a lease"):
        keep(tmp_path / "no.tgz", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_second_check_of_a_day_has_a_folder_of_its_own(lease, tmp_path):
    first, _ = keep(lease, tmp_path / "kept")
    record = json.loads((lease / "check.json").read_text())
    record["machine"]["gpu"] = "NVIDIA H100 80GB HBM3"
    del record["steps"]["environment"]  # nobody but the driver tells the name
    (lease / "check.json").write_text(json.dumps(record))
    second, _ = keep(lease, tmp_path / "kept")
    assert second.name == f"{first.name}-2" and first.is_dir()
    assert keep(lease, tmp_path / "kept")[0] == second, "written anew"


def test_of_what_broke_down_the_reason_is_told(lease, tmp_path):
    record = json.loads((lease / "check.json").read_text())
    told = "RuntimeError: Wrong inputs\n" + "x\n" * 500 + "Reason: no such library"
    record["steps"]["ops"]["found"]["broke down"] = told + f" {ROOT}/parity/cli.py:3"
    (lease / "check.json").write_text(json.dumps(record))
    text = (keep(lease, tmp_path / "kept")[0] / "summary.md").read_text()
    assert "Reason: no such library" in text and "RuntimeError: Wrong inputs" in text
    assert "parity/cli.py:3" in text and str(ROOT) not in text
