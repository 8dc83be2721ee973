"""Looks through a Jittor port for dangerous spellings: another name of `python -m parity.atlas.lint`."""

from __future__ import annotations

from parity.atlas.lint import main
from scripts.common import run_main

if __name__ == "__main__":
    run_main(main)
