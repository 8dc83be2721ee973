"""The page of train_pair in a browser: curves with the tube, classes, pictures of both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from neutral.runlog import RunLog
from parity.engine.judge.verdicts import Status, Verdict
from parity.suite.summary import Section, curves, per_class, write_summary
from tests.browser import fits, launched, opened


def log(shift: float) -> RunLog:
    epochs = [
        {"epoch": e, "train_loss": 3.0 - e + shift, "train_step_losses": [3.0 - e + shift] * 4}
        for e in range(3)
    ]
    return RunLog(Path("log.txt"), {}, tuple(epochs))


def test_curves_are_those_that_all_have():
    found = curves([log(0.0), log(0.5)], [log(0.1), log(0.2)])
    assert set(found) == {"training loss", "loss of every step"}
    loss = found["training loss"]
    assert loss["x"] == [0, 1, 2] and loss["sides"] == [[3, 2, 1], [3.5, 2.5, 1.5]]
    assert len(loss["copies"]) == 2 and len(found["loss of every step"]["x"]) == 12
    assert per_class([{"cat": 0.5}, {"cat": 0.4, "dog": None}]) == {
        "cat": [0.5, 0.4],
        "dog": [None, None],
    }


def test_the_page(tmp_path):
    files = [tmp_path / "torch.png", tmp_path / "jittor.png"]
    for file in files:
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(file)
    both = [log(0.0), log(0.5)]
    section = Section(
        "one, seed 1",
        {"PyTorch": {"AP": "0.5"}, "Jittor": {"AP": "0.4"}},
        ["a note"],
        {"all curves": files[0]},
        curves(both, [log(0.1)]),
        per_class([{"cat": 0.5}, {"cat": 0.4}]),
        {"scene": files},
    )
    verdicts = [Verdict("one", "data streams", "(all)", Status.FAIL, message="they part")]
    path = write_summary(tmp_path / "summary.html", "one", [section], verdicts)
    with launched() as browser:
        for width, scheme in ((1280, "light"), (400, "dark")):
            page, errors = opened(browser, path, width=width, color_scheme=scheme)
            assert page.locator(".charts canvas").count() == 4
            assert "1 of 1 verdicts fail, first data streams" in page.locator("h1").inner_text()
            assert "-0.100" in page.locator("main").inner_text()
            assert page.locator(".pair img").count() == 2
            assert fits(page) and not errors
