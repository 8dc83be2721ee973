"""The declared shapes of the files that parity reads, see door/schema.py.

Before: door/schema.py. record.py, judge/floors.py and parity/cli.py read by them.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from typing_extensions import NotRequired, TypedDict

Floor = Annotated[float, Meta(ge=0)]


class ReportedVerdict(TypedDict):
    case: str
    check: str
    node: str
    status: str
    measured: NotRequired[float | None]
    limit: NotRequired[float | None]
    floor: NotRequired[float | None]
    message: NotRequired[str]


class ReportFile(TypedDict):
    """report.json, as `parity diff` reads it."""

    schema: str
    created: NotRequired[str]
    commit: NotRequired[str]
    environment: NotRequired[dict[str, dict[str, Any]]]
    verdicts: list[ReportedVerdict]


class FloorsContent(TypedDict):
    """A file of floors: by case, section and node the floors of both errors, in units of u."""

    schema: str
    device: NotRequired[str]
    cases: dict[str, dict[str, dict[str, Annotated[list[Floor], Meta(min_length=2, max_length=2)]]]]


class StoredTensor(TypedDict):
    """An entry of a safetensors header."""

    dtype: str
    shape: Annotated[list[Annotated[int, Meta(ge=0, le=2**62)]], Meta(max_length=64)]
    data_offsets: Annotated[
        list[Annotated[int, Meta(ge=0, le=2**62)]], Meta(min_length=2, max_length=2)
    ]


class StoredArray(TypedDict):
    """A leaf of a record's tree."""

    array: str


Arrays = dict[str, StoredArray | None]


class TraceTree(TypedDict):
    """What a record holds, by kind; of other kinds nothing is said."""

    nodes: NotRequired[Arrays]
    node_gradients: NotRequired[Arrays]
    gradients: NotRequired[Arrays]
    losses: NotRequired[dict[str, StoredArray]]
    total: NotRequired[StoredArray]
    errors: NotRequired[dict[str, float | StoredArray]]
    owners: NotRequired[dict[str, str]]
    called: NotRequired[dict[str, str]]
    results: NotRequired[dict[str, Any]]
    crashes: NotRequired[dict[str, dict[str, str]]]
    makers: NotRequired[dict[str, dict[str, str]]]
    weights: NotRequired[dict[str, StoredArray]]
    changed: NotRequired[list[str]]
    moved: NotRequired[dict[str, bool]]
    weighted: NotRequired[bool]
    stood_in: NotRequired[list[str]]
    modules: NotRequired[dict[str, dict[str, Any]]]
    choices: NotRequired[dict[str, Any]]
    detections: NotRequired[Any]  # whatever post-processing gives


class RecordAbout(TypedDict):
    """What was run, and where."""

    side: NotRequired[str]
    dtype: NotRequired[str]
    subject: NotRequired[str]
    forced: NotRequired[bool]
    rounded: NotRequired[bool]
    shapes: NotRequired[dict[str, list[int]]]
    environment: NotRequired[dict[str, Any]]


class ComparedRecord(TypedDict):
    """What comparing needs of it."""

    side: str
    dtype: str
    subject: str
    forced: bool
    shapes: dict[str, list[int]]
    environment: dict[str, Any]
