"""The linter: spellings in a Jittor port that the atlas knows to mean something else than in PyTorch.

source.py reads a file as Python does, values.py follows what its expressions are, rules_*.py find spellings by area,
fixes.py applies edits, sarif.py writes for code hosts, pairwise.py compares two halves of a port. A finding is a
warning where the code itself shows that it applies, and a hint, off by default, where that hangs on what the code
cannot show. A warning that was seldom a defect of ports judged by hand is doubted, and the command leaves it out:
doubts.py. `# noqa`, `# noqa: ENTRY` and `# atlas: ok` silence a line, `# atlas: noqa` alone in a line a file.
"""

from parity.atlas.lint.command import main
from parity.atlas.lint.finding import DOUBTED, HINT, WARNING, Finding
from parity.atlas.lint.run import Report, lint_path, lint_text

__all__ = ["DOUBTED", "HINT", "WARNING", "Finding", "Report", "lint_path", "lint_text", "main"]
