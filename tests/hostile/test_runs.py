"""A run's folder has an owner and an identity, and what others put there stays."""

from __future__ import annotations

import json
import os
import stat

import numpy as np
import pytest

from neutral.errors import InputError
from neutral.locks import OWNER, owned
from neutral.run import read_stream
from neutral.runlog import read_log
from neutral.weights import load_file, save_weights
from tests.commands import TINY, TINY_RCNN, run
from tests.hostile.small import changed, records_of, start, tiny, trained

pytest.importorskip("torch")
MANY = "--set=optimiser.epochs=1000"


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """The folder of a run of one epoch; not to be changed."""
    folder = tmp_path_factory.mktemp("once")
    trained(folder)
    return folder


@pytest.fixture
def folder(once, tmp_path):
    """A copy of it."""
    for path in once.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_two_trainings_in_one_folder(tmp_path):
    """The second says who is there, since when; a dead one's place is taken over, and its leftovers are cleared."""
    first = start("train", "--framework=torch", *TINY, MANY, f"--out={tmp_path}", "--json-progress")
    try:
        while '"epoch"' not in first.stdout.readline():
            assert first.poll() is None, first.stderr.read()
        told = run("train", "--framework=torch", *TINY, f"--out={tmp_path}", code=2).stderr
        assert f"process {first.pid} on " in told and "since 20" in told and "Traceback" not in told
        assert "another --out" in told
    finally:
        first.kill()
        first.communicate()
    (tmp_path / ".unfinished-0a1b2c3d.safetensors").write_bytes(b"half a checkpoint")
    result = run("train", "--framework=torch", *TINY, f"--out={tmp_path}", "--resume")
    assert f"taken over from process {first.pid}" in result.stderr
    assert not list(tmp_path.glob(".*")), "lock and leftovers are gone"


def test_one_owner(tmp_path):
    with owned(tmp_path / "new") as notes:
        assert notes == [] and (tmp_path / "new" / OWNER).exists()
        with owned(tmp_path / "new"):  # the same process may, in steps
            pass
        assert (tmp_path / "new" / OWNER).exists()
        child = os.fork()
        if not child:  # a copy does not hold the lock, nor give it up
            os._exit(len(__import__("neutral.locks").locks.HELD))
        assert os.waitpid(child, 0)[1] == 0
        assert (tmp_path / "new" / OWNER).exists()
    assert not (tmp_path / "new").exists(), "nothing was written"


def test_a_file_of_that_name_is_not_ours(tmp_path):
    (tmp_path / OWNER).write_text("my notes")
    with pytest.raises(InputError, match="is not ours"), owned(tmp_path):
        pass
    assert (tmp_path / OWNER).read_text() == "my notes"
    with pytest.raises(InputError, match="is no folder"), owned(tmp_path / OWNER):
        pass


@pytest.mark.parametrize(
    ("field", "values", "overrides", "options"),
    [
        ("best_by", r"AP then, loss now", (), {"best_by": "loss"}),
        ("max_steps", r"unset then, 1 now", (), {"max_steps": 1}),
        ("val_images", r"unset then, 2 now", (), {"val_images": 2}),
        ("optimiser.lr", r"0\.001 then, 0\.003 now", ("optimiser.lr=3e-3",), {}),
        ("seed", r"42 then, 43 now", ("seed=43",), {}),
    ],
)
def test_another_run_is_refused_and_accepted_knowingly(folder, field, values, overrides, options):
    config = ("optimiser.epochs=2", *overrides)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(InputError, match=rf"{field} \({values}\).*--resume-anyway {field}"):
        trained(folder, *config, resume=True, **options)
    assert before == {p.name: p.read_bytes() for p in folder.iterdir()}, "nothing was touched"
    with pytest.raises(InputError, match=field):  # another one's consent does not count
        trained(folder, *config, resume=True, resume_anyway=("deterministic",), **options)
    told = trained(folder, *config, resume=True, resume_anyway=(field,), **options)
    assert len(told) == 1 and field in told[0]
    notes = [r["note"] for r in records_of(folder / "log.txt") if "note" in r]
    assert notes == told
    assert [e["epoch"] for e in read_log(folder / "log.txt").epochs] == [0, 1]


def test_changed_data_are_refused(folder):
    _, data = tiny()
    for split in data:
        other = data | {split: changed(data[split])}
        with pytest.raises(InputError, match=rf"data\.{split} \(\d images.* then, \d images.* now"):
            trained(folder, "optimiser.epochs=2", data=other, resume=True)
    told = trained(
        folder, "optimiser.epochs=2", data=other, resume=True, resume_anyway=("data.val",)
    )
    assert "data.val" in told[0]
    _, metadata = load_file(folder / "checkpoint.safetensors")
    assert json.loads(metadata["run"])["data.val"].startswith("2 images")
    assert json.loads(metadata["place"])["best_epoch"] in (None, 1), (
        "scores of other data are not compared"
    )


def test_another_start_is_refused_and_no_start_is_none(folder):
    with pytest.raises(
        InputError, match=r"start \(unset then, checkpoint.safetensors, sha256 .* now"
    ):
        trained(folder, resume=True, weights=folder / "checkpoint.safetensors")
    other = folder / "other"
    trained(other, weights=folder / "best.safetensors")
    trained(other, "optimiser.epochs=2", resume=True)
    trained(other, "optimiser.epochs=3", resume=True, weights=folder / "best.safetensors")
    assert len(read_log(other / "log.txt").epochs) == 3


def test_another_framework_is_refused(folder, monkeypatch):
    from torch_impl import session

    told = session.describe() | {"framework": "jittor"}
    monkeypatch.setattr(session, "describe", lambda: told)
    with pytest.raises(InputError, match=r"framework \(torch then, jittor now\)"):
        trained(folder, "optimiser.epochs=2", resume=True)


def test_fields_are_known_and_states_fit(folder):
    with pytest.raises(InputError, match="no such field; framework"):
        trained(folder, resume=True, resume_anyway=("colour",))
    with pytest.raises(InputError, match="goes with --resume"):
        trained(folder / "new", resume_anyway=("seed",))
    accepted = {"resume": True, "resume_anyway": ("optimiser.kind", "optimiser.ema_decay")}
    for change in ("optimiser.kind=sgd", "optimiser.ema_decay=0.9"):
        with pytest.raises(InputError, match="cannot change within a run"):
            trained(folder, "optimiser.epochs=2", change, **accepted)


@pytest.mark.parametrize(
    "name", ["log.txt", pytest.param("stream.jsonl", marks=pytest.mark.hostile)]
)
@pytest.mark.parametrize("end", [b'{"epoch": 1, "tr', b"\0" * 100, b'{"epoch": 1}garbage\n', b"{"])
def test_a_half_written_line_is_taken_back(folder, name, end):
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(before + end)
    told = trained(folder, "optimiser.epochs=2", resume=True)
    assert len(told) == 1 and told[0].startswith(f"{name}: its last line was half written")
    assert {"note": told[0]}.items() <= records_of(folder / "log.txt")[2].items()
    assert (folder / name).read_bytes().startswith(before)
    assert [e["epoch"] for e in read_log(folder / "log.txt").epochs] == [0, 1]
    assert [link["epoch"] for link in read_stream(folder / "stream.jsonl")] == [0, 0, 1, 1]


def test_a_last_line_without_its_end_is_whole(folder):
    path = folder / "log.txt"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert "has one now" in trained(folder, "optimiser.epochs=2", resume=True)[0]
    assert [e["epoch"] for e in read_log(path).epochs] == [0, 1]


def test_the_first_line_half_written(tmp_path):
    (tmp_path / "log.txt").write_bytes(b'{"header": {"wei')
    assert "taken back" in trained(tmp_path, resume=True)[0]
    assert [e["epoch"] for e in read_log(tmp_path / "log.txt").epochs] == [0]


@pytest.mark.parametrize("name", ["log.txt", "stream.jsonl"])
def test_a_damaged_line_in_the_middle_is_named(folder, name):
    lines = (folder / name).read_bytes().splitlines(keepends=True)
    damaged = b"".join([lines[0], b'{"epoch": \n', *lines[1:]])
    (folder / name).write_bytes(damaged)
    with pytest.raises(InputError, match=rf"{name}, line 2: damaged"):
        trained(folder, "optimiser.epochs=2", resume=True)
    assert (folder / name).read_bytes() == damaged


def test_a_log_that_was_lost_has_a_header_again(folder):
    (folder / "log.txt").unlink()
    trained(folder, "optimiser.epochs=2", resume=True)
    log = read_log(folder / "log.txt")
    assert log.header["config"]["name"] == "scenes_detr" and [e["epoch"] for e in log.epochs] == [1]


def test_foreign_files_stay(tmp_path):
    theirs = {".log.txt.swp": b"swap", "notes.txt": b"mine", ".checkpoint.safetensors.bak": b"old"}
    theirs |= {".unfinished-business": b"mine, too"}
    for name, content in theirs.items():
        (tmp_path / name).write_bytes(content)
    left = [tmp_path / ".unfinished-12345678.txt", tmp_path / ".unfinished-9abcdef0"]
    left[0].write_text("half")
    left[1].mkdir()
    trained(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in theirs} == theirs
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize(
    "name",
    ["log.txt", "log.csv", "stream.jsonl", "best.safetensors", "checkpoint-epoch-0000.safetensors"],
)
def test_what_no_run_made_is_not_written_over(tmp_path, name):
    (tmp_path / name).write_bytes(b"what a user keeps here\n")
    with pytest.raises(InputError, match=rf"{name} exists.*another --out"):
        trained(tmp_path, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"what a user keeps here\n"


def test_the_weights_that_a_run_starts_from_are_no_output(tmp_path):
    from torch_impl.session import Session

    weights = tmp_path / "best.safetensors"
    save_weights(weights, Session(tiny()[0]).state())
    (tmp_path / "log.txt").write_text('{"header": {}}\n')
    before = weights.read_bytes()
    with pytest.raises(InputError, match="would write over it"):
        trained(tmp_path, weights=weights)
    assert weights.read_bytes() == before


@pytest.mark.parametrize("umask", [0o027, 0o002])
def test_the_umask_decides(tmp_path, umask):
    before = os.umask(umask)
    try:
        trained(tmp_path / "run", keep=1)
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "run").iterdir()}
    assert modes and modes == dict.fromkeys(modes, 0o666 & ~umask)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o777 & ~umask


def test_a_link_stays_one(folder):
    """To a checkpoint on another disk, say."""
    place = folder / "elsewhere.safetensors"
    (folder / "checkpoint.safetensors").rename(place)
    (folder / "checkpoint.safetensors").symlink_to(place.name)
    trained(folder, "optimiser.epochs=2", resume=True)
    assert (folder / "checkpoint.safetensors").is_symlink()
    assert load_file(place)[1]["epoch"] == "2"


@pytest.mark.hostile
def test_a_checkpoint_of_the_other_framework(tmp_path):
    """As users meet it: refused with both values, then accepted, in both directions."""
    for first, second in (("torch", "jittor"), ("jittor", "torch")):
        out = f"--out={tmp_path / first}"
        run("train", f"--framework={first}", *TINY_RCNN, "--set=optimiser.epochs=1", out)
        again = [f"--framework={second}", *TINY_RCNN, "--set=optimiser.epochs=2", out, "--resume"]
        told = run("train", *again, code=2).stderr
        assert f"framework ({first} then, {second} now)" in told
        run("train", *again, "--resume-anyway=framework")
        notes = [r["note"] for r in records_of(tmp_path / first / "log.txt") if "note" in r]
        assert len(notes) == 1 and "framework" in notes[0]
        arrays, _ = load_file(tmp_path / first / "checkpoint.safetensors")
        assert all(np.isfinite(values).all() for values in arrays.values())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("place", "{"),
        ("place", '{"colour": 1}'),
        ("updates", "many"),
        ("config", "[]"),
        ("run", "1"),
    ],
)
def test_a_damaged_training_state_is_named(folder, key, value):
    path = folder / "checkpoint.safetensors"
    arrays, metadata = load_file(path)
    save_weights(path, arrays, metadata | {key: value})
    with pytest.raises(InputError, match=rf"checkpoint\.safetensors: its metadata: {key}"):
        trained(folder, "optimiser.epochs=2", resume=True)
