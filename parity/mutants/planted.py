"""`pytest -p parity.mutants.planted ...`: in a process that has the mutants which PARITY_PLANTED names."""

from __future__ import annotations

import os

from parity.mutants.breeding import plant

plant(os.environ["PARITY_PLANTED"])
