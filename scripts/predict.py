"""Detections on images.

`python -m scripts.predict --framework torch --preset detr_r50 --weights FILE photo.jpg --out found`

Takes images, folders, globs, addresses, or `--split val` of --data (with its objects, which the views of anchors,
samples and matches need). Leaves OUT/NAME.png with boxes, labels and scores, and OUT/detections.json (COCO results
with names). Images are turned upright as their EXIF says; those of a split stay as stored, as they are annotated.
Pictures of one name in several folders or formats are called NAME.png, NAME-2.png and so on; "picture" in
detections.json says which is whose. No photograph is written over, and no file that predict did not make.
`--framework both` runs both, in processes of their own, into OUT/torch and OUT/jittor, and sets them side by side in
OUT/NAME.png: what only one of them found is red. `--views` draws what the detector looked at on the way.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from door import schema
from door.files import write_json
from door.ranges import Range, add_number
from door.terminal import say
from neutral.config import Config
from neutral.data import SPLITS
from neutral.data.categories import Categories
from neutral.diagnosis import bad_node
from neutral.errors import Ended, InputError, NonFinite
from neutral.evaluation import compact, from_plain_results, plain_results
from neutral.fetching import fetch
from neutral.finite import first_bad
from neutral.locks import owned
from neutral.pictures import GREEN, RED, beside, cover, detection_marks, draw, paint_segments, save
from neutral.processes import call, how_ended
from neutral.ranks import check_alone
from neutral.schemas import ANNOTATIONS_LIMIT, Detections
from neutral.views import VIEWS
from neutral.weights import open_weights
from parity.engine.judge.detections import partners
from parity.engine.values.scratch import scratch_folder
from scripts.common import FRAMEWORKS, make_progress, open_session, run_main
from scripts.options import (
    Parser,
    add_config_options,
    add_pixel_limit,
    add_source_options,
    config_from,
    handed,
)
from scripts.outputs import RESULTS, check_outputs
from scripts.photographs import Picture, batch_of, look_at, pictures_of

ADDRESSES = ("http://", "https://")


def records_of(picture: Picture, found: dict, known: Categories) -> list[dict]:
    """COCO results with the names of file and category; a label of no category is its own id."""
    names, ids = known.by_label(), known.ids()
    return [
        {
            "file_name": str(picture.path),
            "image_id": picture.image_id,
            "picture": f"{picture.name}.png",
            "name": names.get(record["category_id"], str(record["category_id"])),
            **record,
            "category_id": ids.get(record["category_id"], record["category_id"]),
        }
        for record in plain_results(compact(found))
    ]


def found_in(records: list[dict], picture: Picture, known: Categories) -> dict:
    """Detections of one image again, from what `records_of` wrote."""
    mine = [r for r in records if r["image_id"] == picture.image_id]
    labels = [known.labels.get(r["category_id"], r["category_id"]) for r in mine]
    return from_plain_results([r | {"category_id": k} for r, k in zip(mine, labels, strict=True)])


def predict_one(
    options: argparse.Namespace, config: Config, pictures: list, known: Categories
) -> None:
    """One framework, in this process. InputError at the end for images that could not be used."""
    weights = open_weights(options.weights, config, options.source, options.inside)
    session = open_session(options.framework, config, options.device)
    session.load(weights.weights())
    views, names = VIEWS[config.model.detector], known.drawable()
    records, unusable = [], []
    with make_progress() as progress:
        task = progress.add_task(options.framework, total=len(pictures), note="")
        for picture in pictures:
            try:
                image = look_at(picture, config)
                batch = batch_of(picture, image, config)
            except InputError as error:
                unusable.append(str(error))
                continue
            if options.views:
                trace = session.watch().trace(batch, gradients=False)
                found = trace["detections"][0]
                height, width = batch.targets[0].size
                shown = image.resize((width, height), Image.Resampling.BILINEAR)
                for name in options.views:
                    view = views[name](shown, trace, batch, config, names)
                    save(view, options.out / f"{picture.name}-{name}.png")
            else:
                found = session.detect(batch)[0]
            if bad := first_bad(found, ("scores", "boxes")):
                raise NonFinite(
                    f"{picture.path}: its {bad['node']} hold NaN or infinity; {bad_node(session, batch)}"
                )
            marks = detection_marks(found, names, options.threshold)
            covered = cover(image, found, options.threshold)
            save(draw(covered, marks), options.out / f"{picture.name}.png")
            if "panoptic" in found:
                segments = found["panoptic"]
                save(paint_segments(image, segments), options.out / f"{picture.name}-panoptic.png")
            records += records_of(picture, found, known)
            progress.update(task, advance=1, note=f"{len(marks)} objects in {picture.name}")
    write_json(options.out / RESULTS, records, indent=None)
    shown = sum(r["score"] >= options.threshold for r in records)
    say(
        f"{shown} detections of at least {options.threshold:g} in {len(pictures) - len(unusable)} images: {options.out}"
    )
    if unusable:
        raise InputError("\nerror: ".join(unusable))


def predict_both(
    options: argparse.Namespace, config: Config, pictures: list, known: Categories
) -> None:
    """Each framework in a process of its own, then both side by side."""
    records, names = {}, known.drawable()
    with scratch_folder("predict") as files:
        for framework in FRAMEWORKS:
            own = {"framework": framework, "out": options.out / framework}
            asked = handed(files / f"{framework}.json", options, add_options, **own)
            code = call([sys.executable, "-m", "scripts.predict", *asked])
            if code:
                message = f"{framework} {how_ended(code)}; what it said is above"
                raise InputError(message) if code == 2 else Ended(f"error: {message}", 1)
            found = options.out / framework / RESULTS
            records[framework] = schema.read(found, Detections, ANNOTATIONS_LIMIT)
    total = alone = 0
    for picture in pictures:
        found = [found_in(records[f], picture, known) for f in FRAMEWORKS]
        image, sheets = look_at(picture, config), []
        for title, own, same in zip(("PyTorch", "Jittor"), found, partners(*found)):
            colours = np.full(len(own["scores"]), RED, dtype=object)
            colours[same] = GREEN
            shown = own["scores"] >= options.threshold
            total, alone = total + int(shown.sum()), alone + int((shown & (colours == RED)).sum())
            sheets.append(
                (title, draw(image, detection_marks(own, names, options.threshold, colours)))
            )
        save(beside(sheets), options.out / f"{picture.name}.png")
    say(f"{alone} of {total} detections have no partner on the other side (red in {options.out})")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="*", help="files, folders, globs, http(s) addresses")
    parser.add_argument("--framework", choices=(*FRAMEWORKS, "both"), required=True)
    add_config_options(parser)
    parser.add_argument("--weights", type=Path, required=True, help="as for scripts.evaluate")
    add_source_options(parser)
    add_pixel_limit(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of pictures and JSON")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    add_number(
        parser, "--threshold", float, Range(0, 1), default=0.5, help="least score that is drawn"
    )
    parser.add_argument("--split", choices=SPLITS, help="the images of this split of the data set")
    add_number(parser, "--count", int, Range(1), help="of the split's images, the first ones")
    names = [f"{view} ({kind})" for kind, found in VIEWS.items() for view in found]
    parser.add_argument(
        "--views", nargs="+", default=[], metavar="VIEW", help=f"also draw: {', '.join(names)}"
    )


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    options = parser.parse_args()
    check_alone("predict")
    config = config_from(options)
    for name in options.views:
        if name not in VIEWS[config.model.detector]:
            known = ", ".join(VIEWS[config.model.detector])
            raise InputError(f"--views {name}: {config.name} has {known}")
    with owned(options.out) as notes:
        for text in notes:
            say(text, error=True)
        options.images = [
            str(fetch(image, options.out / "fetched")) if image.startswith(ADDRESSES) else image
            for image in options.images
        ]
        predict(options, config)


def predict(options: argparse.Namespace, config: Config) -> None:
    pictures, known = pictures_of(options, config)
    both = options.framework == "both"
    for folder in (options.out, *(options.out / f for f in FRAMEWORKS if both)):
        check_outputs(folder, {p.name: p.path for p in pictures}, options.views)
    for picture in pictures:
        if picture.name != picture.path.stem:
            say(f"{picture.path}: its pictures are called {picture.name}", error=True)
    if both:
        predict_both(options, config, pictures, known)
    else:
        predict_one(options, config, pictures, known)


if __name__ == "__main__":
    run_main(main)
