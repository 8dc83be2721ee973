"""Coverage-guided fuzzing of everything that reads files from outside: `make fuzz`.

Weight files of every layout; COCO's and panoptic annotations, detections, logs, curves; VOC's XML; records. Starts from
whole files of each. What was wanted or an InputError that names the file is right; anything else, a file that takes
longer than ten seconds or more than 2 GB is a finding, and libFuzzer keeps the file that did it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import atheris
import numpy as np
from PIL import Image

with atheris.instrument_imports(
    include=["neutral", "door", "parity.engine", "pickle", "zipfile", "json"]
):
    from door import schema
    from neutral.data.coco import CocoDataset
    from neutral.data.masks import decode_masks, encode_mask
    from neutral.data.panoptic import open_panoptic
    from neutral.data.voc import open_voc
    from neutral.errors import InputError
    from neutral.evaluation import evaluate, from_results
    from neutral.runlog import numbers, read_log
    from neutral.schemas import Curves
    from neutral.weights.readers import JITTOR_MARK, read_checkpoint
    from parity.engine.values.record import Record
    from parity.engine.values.shapes import ReportFile

from tests.weight_files import LAYOUTS, write_file

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-readers-"))
SUFFIXES = (".pth", ".pkl", ".npz", ".safetensors")
SIDE = 40  # pixels of the images that files may be about


def weights(body: bytes, suffix: str, signed: bool) -> None:
    """`signed`: Jittor's checksum is put right."""
    if signed:
        body += hashlib.sha1(body).digest() + JITTOR_MARK
    for tensor in read_checkpoint(put(f"input{suffix}", body)).tensors.values():
        tensor.values().sum()


def coco(body: bytes) -> None:
    put("annotations/instances_val2017.json", body)
    dataset = CocoDataset.open(FOLDER, "val", 91, "drop", masks=True)
    for record in dataset.images:
        if (record["width"], record["height"]) == (SIDE, SIDE):
            decode_masks(dataset.annotations[record["id"]], SIDE, SIDE)


def detections(body: bytes) -> None:
    dataset = sound_dataset()
    found = from_results(dataset, put("input.json", body))
    evaluate(dataset, found)
    if any("masks" in one for one in found.values()):
        evaluate(dataset, found, "segm")


def panoptic(body: bytes) -> None:
    put("annotations/panoptic_val2017.json", body)
    open_panoptic(FOLDER, "val", 91, "drop", False)


def voc(body: bytes) -> None:
    put("Annotations/1.xml", body)
    open_voc(FOLDER, "train", ("one",), 21, "drop")


def log(body: bytes) -> None:
    for epoch in read_log(put("log.txt", body)).epochs:
        numbers(epoch)


def record(body: bytes) -> None:
    found = Record(put("record.safetensors", body))
    for node in found.get("nodes") or ():
        found["nodes"][node]


def other(shape):
    return lambda body: schema.read(put("input.json", body), shape)


TARGETS = (
    *((lambda body, s=s: weights(body, s, False)) for s in SUFFIXES),
    lambda body: weights(body, ".pkl", True),
    *(coco, detections, panoptic, voc, log, record),
    *map(other, (Curves, ReportFile)),
)


def put(name: str, body: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(body)
    return path


def one_input(data: bytes) -> None:
    """The first byte chooses the reader."""
    if not data:
        return
    try:
        TARGETS[data[0] % len(TARGETS)](data[1:])
    except InputError as error:
        assert str(FOLDER) in str(error) or "is no mask" in str(error) or "category" in str(error)


def sound_coco() -> dict:
    square = [[1, 1, 9, 1, 9, 9]]
    boxed = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8], "area": 64}
    return {
        "images": [{"id": 1, "file_name": "1.png", "width": SIDE, "height": SIDE}],
        "annotations": [
            boxed | {"id": 1, "iscrowd": 0, "segmentation": square},
            boxed
            | {"id": 2, "iscrowd": 1, "segmentation": {"size": [SIDE] * 2, "counts": [SIDE**2]}},
        ],
        "categories": [{"id": 1, "name": "one", "isthing": 1}],
    }


def sound_dataset() -> CocoDataset:
    put("annotations/instances_val2017.json", json.dumps(sound_coco()).encode())
    return CocoDataset.open(FOLDER, "val", 91, "drop", masks=True)


def seeds() -> dict[str, bytes]:
    """A whole file for every reader, by name."""
    found = {}
    for layout, (suffix, _, _) in LAYOUTS.items():
        body = write_file(FOLDER, layout).read_bytes()
        signed = layout.startswith("jittor")
        target = 4 if signed else SUFFIXES.index(suffix)
        found[layout] = bytes([target]) + (body[:-28] if signed else body)
    whole = sound_coco()
    result = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8], "score": 0.5}
    code = {"segmentation": encode_mask(np.eye(SIDE, dtype=bool))}
    segments = [{"id": 5, "category_id": 1, "bbox": [0, 0, 4, 4], "area": 16, "iscrowd": 0}]
    entry = {"image_id": 1, "file_name": "1.png", "segments_info": segments}
    tree = {"nodes": {"a": {"array": "/a"}}, "owners": {"a": "m"}}
    metadata = {"schema": "detector-parity/trace/1", "tree": json.dumps(tree), "about": "{}"}
    header = {
        "__metadata__": metadata,
        "/a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    }
    packed = json.dumps(header).encode()
    epoch = {"epoch": 0, "train_loss": 1.5, "test_coco_eval_bbox": [0.5] * 12}
    xml = "<annotation><size><width>40</width><height>40</height></size><object><name>dog</name><bndbox><xmin>1</xmin>"
    xml += "<ymin>2</ymin><xmax>20</xmax><ymax>20</ymax></bndbox></object></annotation>"
    stage = {"exit code": 0, "seconds": 1.0, "tail": ["x"]}
    verdict = {"case": "a", "check": "b", "node": "c", "status": "PASS", "measured": 0.1}
    bodies = (
        json.dumps(whole).encode(),
        json.dumps([result, result | code]).encode(),
        json.dumps(whole | {"annotations": [entry]}).encode(),
        xml.encode(),
        (json.dumps({"header": {"config": {}}}) + "\n" + json.dumps(epoch) + "\n").encode(),
        len(packed).to_bytes(8, "little") + packed + bytes(8),
        b'{"per_class": {"a": 0.5}, "curves": {"recall": [0, 1], "AP": [1, 0.5]}}',
        json.dumps({"schema": "detector-parity/report/1", "verdicts": [verdict]}).encode(),
        json.dumps({"stages": {"speed": stage}}).encode(),
    )
    return found | {f"seed{k}": bytes([5 + k]) + body for k, body in enumerate(bodies)}


def main() -> None:
    for name in ("corpus", "annotations", "Annotations", "ImageSets/Main", "JPEGImages"):
        (FOLDER / name).mkdir(parents=True)
    for folder in ("val2017", "panoptic_val2017"):
        (FOLDER / folder).mkdir()
        Image.new("RGB", (SIDE, SIDE)).save(FOLDER / folder / "1.png")
    put("JPEGImages/1.jpg", b"")
    put("ImageSets/Main/one.txt", b"1\n")
    for name, body in seeds().items():
        TARGETS[body[0]](body[1:])  # a seed is a whole file
        put(f"corpus/{name}", body)
    limits = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=20000"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], str(FOLDER / "corpus")], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
