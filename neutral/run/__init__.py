"""Training and evaluation runs: one loop for both frameworks, which come in as a session.

A run's folder holds log.txt and log.csv (see runlog.py), stream.jsonl (what data it saw, see data/chain.py) and
checkpoints (see checkpoints.py). A session is {torch,jittor}_impl.session.Session. loop.py trains; start.py begins
or resumes; identity.py tells whether that is the same run; folder.py knows its files; records.py makes the log's.
"""

from neutral.run.folder import read_stream
from neutral.run.loop import train
from neutral.run.options import SCORES, Report, RunOptions, Stopped
from neutral.run.records import evaluation_run
from neutral.run.start import start_weights

__all__ = [
    "SCORES",
    "Report",
    "RunOptions",
    "Stopped",
    "evaluation_run",
    "read_stream",
    "start_weights",
    "train",
]
