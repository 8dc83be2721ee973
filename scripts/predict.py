"""Detections on images.

`python -m scripts.predict --framework torch --preset detr_r50 --weights FILE photo.jpg --out found`

Takes images, folders, globs, addresses, or `--split val` of --data (with its objects, which the views of anchors,
samples and matches need). Leaves OUT/NAME.png with boxes, labels and scores, and OUT/detections.json (COCO results
with names). Pictures of one name in several folders or formats are called NAME.png, NAME-2.png and so on; "picture" in
detections.json says which is whose. No photograph is written over, and no file that predict did not make.
`--framework both` runs both, in processes of their own, into OUT/torch and OUT/jittor, and sets them side by side in
OUT/NAME.png: what only one of them found is red. `--views` draws what the detector looked at on the way.
"""

from __future__ import annotations

import argparse
import glob
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from neutral.config import Config
from neutral.data import SPLITS
from neutral.data.batching import Batch, collate
from neutral.data.coco import Target, load_image
from neutral.data.names import label_names
from neutral.data.transforms import val_transform
from neutral.errors import Ended, InputError
from neutral.evaluation import compact, from_plain_results, plain_results
from neutral.files import fetch, read_json, write_json
from neutral.locks import owned
from neutral.pictures import (
    GREEN,
    RED,
    beside,
    cover,
    detection_marks,
    draw,
    paint_segments,
    save,
)
from neutral.processes import call, how_ended
from neutral.views import VIEWS
from neutral.weights import load_weights
from parity.engine.detections import partners
from scripts.common import (
    FRAMEWORKS,
    add_config_options,
    config_arguments,
    config_from,
    make_progress,
    open_datasets,
    open_session,
    run_main,
)
from scripts.outputs import RESULTS, apart, check_outputs

ADDRESSES = ("http://", "https://")
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Picture:
    """An image to look at: what its outputs are called, its file, and its objects where they are known."""

    name: str
    path: Path
    image_id: int
    target: Target | None = None


def find_files(patterns: list[str]) -> list[Path]:
    """Files, folders' images and globs, each file once; InputError names what is not there."""
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.suffix.lower() in ENDINGS)
        else:
            files = (
                [path] if path.exists() else sorted(map(Path, glob.glob(pattern, recursive=True)))
            )
        if not files:
            raise InputError(f"{pattern}: no such image, and no images there")
        found += files
    return list(dict.fromkeys(found))


def pictures_of(options: argparse.Namespace, config: Config) -> tuple[list[Picture], dict]:
    """What to look at, and names by label."""
    if options.split and options.images:
        raise InputError("give images, or --split for those of the data set; not both")
    if not options.split:
        if not options.images:
            raise InputError("no images: give files, folders or globs, or --split val")
        files = find_files(options.images)
        names = apart(files, options.views)
        pictures = [Picture(n, f, k) for k, (n, f) in enumerate(zip(names, files), start=1)]
        return pictures, label_names(config)
    dataset = open_datasets(config, 0)[options.split]
    names = {dataset.labels[k]: name for k, name in dataset.categories.items()}
    records = dataset.images[: options.count]
    paths = [dataset.path(record) for record in records]
    pictures = [
        Picture(name, path, record["id"], dataset[index][1])
        for index, (name, path, record) in enumerate(
            zip(apart(paths, options.views), paths, records)
        )
    ]
    return pictures, names


def batch_of(picture: Picture, image: Image.Image, config: Config) -> Batch:
    size = (image.height, image.width)
    empty = (np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    target = picture.target or Target(*empty, picture.image_id, size, size)
    sample = val_transform(image, target, config.transform)
    return collate([sample], config.transform.size_divisor)


def records_of(picture: Picture, found: dict, names: dict[int, str]) -> list[dict]:
    """COCO results with the file's name and the label's; `category_id` is the label."""
    return [
        {
            "file_name": str(picture.path),
            "image_id": picture.image_id,
            "picture": f"{picture.name}.png",
            "name": names.get(record["category_id"], str(record["category_id"])),
            **record,
        }
        for record in plain_results(compact(found))
    ]


def found_in(records: list[dict], picture: Picture) -> dict:
    """Detections of one image again, from what `records_of` wrote."""
    return from_plain_results([r for r in records if r["image_id"] == picture.image_id])


def predict_one(options: argparse.Namespace, config: Config, pictures: list, names: dict) -> None:
    """One framework, in this process."""
    session = open_session(options.framework, config, options.device)
    session.load(load_weights(options.weights, config))
    views = VIEWS[config.model.detector]
    records = []
    with make_progress() as progress:
        task = progress.add_task(options.framework, total=len(pictures), note="")
        for picture in pictures:
            image = load_image(picture.path)
            batch = batch_of(picture, image, config)
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
            marks = detection_marks(found, names, options.threshold)
            covered = cover(image, found, options.threshold)
            save(draw(covered, marks), options.out / f"{picture.name}.png")
            if "panoptic" in found:
                segments = found["panoptic"]
                save(paint_segments(image, segments), options.out / f"{picture.name}-panoptic.png")
            records += records_of(picture, found, names)
            progress.update(task, advance=1, note=f"{len(marks)} objects in {picture.name}")
    write_json(options.out / RESULTS, records, indent=None)
    shown = sum(r["score"] >= options.threshold for r in records)
    print(
        f"{shown} detections of at least {options.threshold:g} in {len(pictures)} images: {options.out}"
    )


def predict_both(options: argparse.Namespace, pictures: list, names: dict) -> None:
    """Each framework in a process of its own, then both side by side."""
    records = {}
    for framework in FRAMEWORKS:
        out = options.out / framework
        command = [sys.executable, "-m", "scripts.predict", "--framework", framework]
        command += [*config_arguments(options), "--weights", str(options.weights)]
        command += ["--device", options.device, "--threshold", str(options.threshold)]
        command += ["--out", str(out)]
        command += ["--split", options.split] if options.split else []
        command += ["--count", str(options.count)] if options.count else []
        command += ["--views", *options.views, "--"] if options.views else ["--"]
        code = call([*command, *options.images])
        if code:
            message = f"{framework} {how_ended(code)}; what it said is above"
            raise InputError(message) if code == 2 else Ended(f"error: {message}", 1)
        records[framework] = read_json(out / RESULTS)
    total = alone = 0
    for picture in pictures:
        found = [found_in(records[f], picture) for f in FRAMEWORKS]
        image, sheets = load_image(picture.path), []
        for title, own, same in zip(("PyTorch", "Jittor"), found, partners(*found)):
            colours = np.full(len(own["scores"]), RED, dtype=object)
            colours[same] = GREEN
            shown = own["scores"] >= options.threshold
            total, alone = total + int(shown.sum()), alone + int((shown & (colours == RED)).sum())
            sheets.append(
                (title, draw(image, detection_marks(own, names, options.threshold, colours)))
            )
        save(beside(sheets), options.out / f"{picture.name}.png")
    print(f"{alone} of {total} detections have no partner on the other side (red in {options.out})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="*", help="files, folders, globs, http(s) addresses")
    parser.add_argument("--framework", choices=(*FRAMEWORKS, "both"), required=True)
    add_config_options(parser)
    parser.add_argument("--weights", type=Path, required=True, help="as for scripts.evaluate")
    parser.add_argument("--out", type=Path, required=True, help="folder of pictures and JSON")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threshold", type=float, default=0.5, help="least score that is drawn")
    parser.add_argument("--split", choices=SPLITS, help="the images of this split of the data set")
    parser.add_argument("--count", type=int, help="of the split's images, the first ones")
    names = [f"{view} ({kind})" for kind, found in VIEWS.items() for view in found]
    parser.add_argument(
        "--views", nargs="+", default=[], metavar="VIEW", help=f"also draw: {', '.join(names)}"
    )
    options = parser.parse_args()
    config = config_from(options)
    for name in options.views:
        if name not in VIEWS[config.model.detector]:
            known = ", ".join(VIEWS[config.model.detector])
            raise InputError(f"--views {name}: {config.name} has {known}")
    with owned(options.out) as notes:
        for text in notes:
            print(text, file=sys.stderr)
        options.images = [
            str(fetch(image, options.out / "fetched")) if image.startswith(ADDRESSES) else image
            for image in options.images
        ]
        predict(options, config)


def predict(options: argparse.Namespace, config: Config) -> None:
    pictures, labels = pictures_of(options, config)
    both = options.framework == "both"
    for folder in (options.out, *(options.out / f for f in FRAMEWORKS if both)):
        check_outputs(folder, {p.name: p.path for p in pictures}, options.views)
    for picture in pictures:
        if picture.name != picture.path.stem:
            print(f"{picture.path}: its pictures are called {picture.name}", file=sys.stderr)
    if both:
        predict_both(options, pictures, labels)
    else:
        predict_one(options, config, pictures, labels)


if __name__ == "__main__":
    run_main(main)
