"""What an entry came to, and whether that is what it came to before."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from door.files import read_json, write_json
from parity.atlas.entry import Entry
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.workers import FRAMEWORKS, Worker
from parity.errors import WorkerDied

RECORD = Path(__file__).parent / "atlas.json"
RUN_SNIPPET, GIVE_WAY = (f"parity.atlas.snippets:{name}" for name in ("run_snippet", "give_way"))
SAME, DIFFERS, RAISES, CRASHES = "SAME", "DIFFERS", "RAISES", "CRASHES"
DEADLY, SILENT, LOUD, MINOR, NONE = "crash", "silent", "error", "minor", "none"
PATIENCE = 150.0  # seconds: a write into foreign memory may hang
RELATIVE = 2e-5  # float32 arithmetic in another order is no difference of meaning


def kind_of(torch: dict, jittor: dict) -> str:
    """How two results relate. Integers of other width, and [1] where PyTorch has no axis, count as the same here:
    they have entries of their own."""
    if "crash" in torch or "crash" in jittor:
        return CRASHES
    if "raises" in torch or "raises" in jittor:
        return SAME if "raises" in torch and "raises" in jittor else RAISES
    return SAME if same_value(torch["value"], jittor["value"]) else DIFFERS


def severity(entry: Entry, found: dict) -> str:
    """What a difference costs: SILENT, other numbers without a word; LOUD, an error; DEADLY, a crash; NONE."""
    if found["kind"] == CRASHES:
        return DEADLY
    if found["kind"] == SAME:
        return NONE
    if found["kind"] == RAISES and "raises" in found["jittor"]:
        return LOUD
    return MINOR if entry.minor else SILENT


def same_value(a, b) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        if "values" in a and "values" in b:
            shapes = [s if s != [1] else [] for s in (a["shape"], b["shape"])]
            kinds = [family(x["dtype"]) for x in (a, b)]
            return (
                shapes[0] == shapes[1]
                and kinds[0] == kinds[1]
                and same_value(a["values"], b["values"])
            )
        return a.keys() == b.keys() and all(same_value(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_value, a, b))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or math.isclose(a, b, rel_tol=RELATIVE, abs_tol=1e-7)
    return a == b


def family(dtype: str) -> str:
    """int32 and int64 are one family, float32 and float64 are two: narrowing floats changes values."""
    return "int" if dtype in ("int32", "int64") else dtype


class Reader:
    """Runs entries in workers of its own; what a snippet leaves behind reaches no other suite.

    An isolated entry runs in a copy of a worker that has run nothing yet: importing a framework takes seconds.
    """

    def __init__(self, device: str = "cpu", preload: tuple[str, ...] = ()):
        """preload: a Worker's."""
        self.device = device
        self.workers = {side: Worker(side, PATIENCE, preload) for side in FRAMEWORKS}
        self.fresh = {side: Worker(side, PATIENCE, preload) for side in FRAMEWORKS}

    def submit(self, side: str, entry: Entry, code: str) -> Worker | WorkerDied:
        """Hands a piece of code to a worker, which then works on it while others do on theirs."""
        worker, method = self.workers[side], "run"
        if entry.isolated:
            worker, method = self.fresh[side], "run_apart"
            if self.device == "cuda":  # which cannot be copied
                method = "run"
                worker.close()
        try:
            worker.submit(method, RUN_SNIPPET, entry.given, code, self.device)
        except WorkerDied as death:
            return death
        return worker

    def ask(self, side: str, entry: Entry, code: str) -> dict:
        return answer(self.submit(side, entry, code))

    def read(self, entry: Entry) -> dict:
        """{"kind", "torch", "jittor"} and, where there is a safe spelling, "safe": what it gives."""
        codes = {"torch": entry.torch, "jittor": entry.jittor_code}
        asked = {side: self.submit(side, entry, code) for side, code in codes.items()}
        found = {side: answer(worker) for side, worker in asked.items()}
        found = {"kind": kind_of(*found.values())} | found
        if entry.safe:
            found["safe"] = self.ask("jittor", entry, entry.safe)
        return found

    def close(self) -> None:
        for worker in (*self.workers.values(), *self.fresh.values()):
            worker.close()


@contextmanager
def reading(entries: Sequence[Entry], device: str = "cpu") -> Iterator[dict[str, Future]]:
    """What `Reader.read` gives, by entry's id: begun in this order, by as many readers as there are cores.

    Most entries compile a kernel or two, one after the other, which keeps one core busy. Whatever else there is to
    compute goes first.
    """
    count = 1 if device == "cuda" else os.cpu_count() or 1
    readers, free = [Reader(device, (GIVE_WAY,)) for _ in range(count)], SimpleQueue()
    for reader in readers:
        free.put(reader)

    def read(entry: Entry) -> dict:
        reader = free.get()
        try:
            return reader.read(entry)
        finally:
            free.put(reader)

    pool = ThreadPoolExecutor(count, "atlas")
    try:
        yield {entry.id: pool.submit(read, entry) for entry in entries}
    finally:
        pool.shutdown(cancel_futures=True)
        for reader in readers:
            reader.close()


def answer(worker: Worker | WorkerDied) -> dict:
    try:
        if isinstance(worker, WorkerDied):
            raise worker
        return worker.result()
    except WorkerDied as death:
        return {"crash": crash_of(str(death))}


def crash_of(message: str) -> str:
    """The exit code, without what the process printed."""
    start = message.find("exit code")
    return message[start : message.find(")", start)] if start >= 0 else "no answer"


def judge(entry: Entry, found: dict, known: dict | None, device: str) -> list[Verdict]:
    """An entry's verdicts: as it was recorded, and its safe spelling means what PyTorch's code means."""
    case = f"semantics on {device}"
    if known is None:
        message = f"not recorded on {device}"
        return [Verdict(case, entry.area, entry.id, Status.NOT_RUN, message=message)]
    status, message = Status.PASS, ""
    kinds = (found["kind"], known["kind"])
    if entry.varies:  # garbage may even crash: what matters is that it is not the same
        kinds = tuple(SAME if kind == SAME else DIFFERS for kind in kinds)
    if kinds[0] != kinds[1]:
        status, message = Status.FAIL, f"was {known['kind']}, now {found['kind']}"
    elif not entry.varies:
        for side in FRAMEWORKS:
            if not same_result(found[side], known[side]):
                status = Status.FAIL
                message = f"{side} gave {brief(known[side])}, now {brief(found[side])}"
    verdicts = [Verdict(case, entry.area, entry.id, status, message=message)]
    if entry.safe:
        agrees = kind_of(found["torch"], found["safe"]) == SAME
        status = Status.PASS if agrees else Status.FAIL
        told = "" if agrees else f"gives {brief(found['safe'])}, PyTorch {brief(found['torch'])}"
        verdicts.append(Verdict(case, entry.area, f"{entry.id}/safe", status, message=told))
    return verdicts


def same_result(now: dict, before: dict) -> bool:
    """Values alike; of exceptions the type, of crashes that there is one."""
    if "raises" in before:
        return now.get("raises") == before["raises"]
    if "crash" in before:
        return "crash" in now
    return "value" in now and same_value(now["value"], before["value"])


def brief(result: dict) -> str:
    """A result in a few words, for tables and messages."""
    if "crash" in result:
        return f"crash ({result['crash']})"
    if "raises" in result:
        return f"{result['raises']}: {result['message'][:60]}"
    return brief_value(result["value"])


def brief_value(value) -> str:
    if isinstance(value, dict) and "values" in value:
        shown = ", ".join(map(show, value["values"][:8]))
        more = ", ..." if len(value["values"]) > 8 else ""
        return f"{value['dtype']}{value['shape']} {shown}{more}".rstrip()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {brief_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return (
            "(" + "; ".join(map(brief_value, value[:6])) + ("; ..." if len(value) > 6 else "") + ")"
        )
    return show(value)


def show(value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def read_record() -> dict:
    """{"cpu": {"versions": ..., "entries": {id: what was found}}, "cuda": ...}, as far as measured."""
    return read_json(RECORD) if RECORD.is_file() else {}


def write_record(device: str, versions: dict, found: dict[str, dict], known: Iterable[str]) -> None:
    """Puts new results into the record; entries that no longer exist leave it."""
    record = read_record()
    entries = record.get(device, {}).get("entries", {}) | found
    entries = {k: v for k, v in sorted(entries.items()) if k in set(known)}
    write_json(RECORD, record | {device: {"versions": versions, "entries": entries}})
