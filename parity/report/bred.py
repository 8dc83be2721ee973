"""Bred mutants (parity/suite/breeding) as the report's page shows them."""

from __future__ import annotations

from collections.abc import Mapping

from parity.report.gist import FAIL, NOT_RUN, PASS

# in the order of the page: key of the counts, in words
PARTS = {
    "mutants": "mutants of both sides, as it came out",
    "mended": "the same, with what they showed mended",
    "judges": "mutants of what judges, as it came out",
    "judges mended": "the same, with what they showed mended",
    "together": "two or three at once, as it came out",
    "together mended": "the same, with what they showed mended",
    "sound": "sound variations, as it came out",
    "sound mended": "the same, with what they showed mended",
}
NAMES = {"mutants": "of a side", "judges": "of what judges", "together": "at once"}
LEFT = ("SURVIVED", "ALARM")


def bred(found: Mapping | None) -> dict:
    """Rates of every part of a campaign, of an earlier one where this has none, and all that is not simply caught:
    survivors first, with what became of each since."""
    if not found:
        return {"status": NOT_RUN, "text": "not run", "parts": [], "rows": []}
    later = {(r["side"], r["name"]): r for r in found["outcomes"].get("again", ())}
    rows = [
        row_of(part, row, later.get((row["side"], row["name"])))
        for part, outcomes in found["outcomes"].items()
        for row in outcomes
        if part != "again" and not is_simply_caught(row)
    ]
    rows.sort(key=lambda row: (not row["is_left"], row["outcome"] not in LEFT))
    status = FAIL if found["unexplained"] else PASS
    told = "{tried} tried: {caught} caught, {equivalent} equivalent, {survived} survived"
    text = told.format(**found["counts"]["mutants"]) + f", {found['unexplained']} left"
    text += f" (seed {found['seed']}, {found['created']})"
    return {"status": status, "text": text, "parts": list(parts_of(found)), "rows": rows}


def parts_of(found: Mapping):
    """(name, seed, counts) of what was tried."""
    for key, name in PARTS.items():
        part, mended = key.removesuffix(" mended"), key.endswith(" mended")
        last = found.get("latest", {}).get(part)
        counts = found["counts"].get(key, {})
        seed = found["seed"]
        if last and key != "mended":
            counts, seed = last["mended" if mended else "counts"], last["seed"]
        if counts.get("tried"):
            yield name, seed, counts


def is_simply_caught(row: Mapping) -> bool:
    if row["outcome"] == "silent":
        return True
    return row["outcome"] == "caught" and (row["check"] == "unit tests" or row["right"])


def row_of(part: str, row: Mapping, later: Mapping | None) -> dict:
    now = later or row
    outcome = row["outcome"]
    if outcome == "caught":
        outcome = "caught, named elsewhere" if part != "together" else "caught, not all named"
    told = {"part": NAMES.get(part, part), "outcome": outcome, "now": now["outcome"]}
    named = later and now["outcome"] == "caught" and now["check"] != "unit tests"
    if named:
        told["now"] = "caught, " + ("rightly named" if now["right"] else "named elsewhere")
    why = f"{now['check']}: {now['node']}" if now["outcome"] in ("caught", *LEFT) else ""
    why = why.strip(": ") or now["reason"]
    return row | told | {"why": why, "is_left": now["outcome"] in LEFT}
