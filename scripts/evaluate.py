"""COCO AP of saved weights, and VOC's mAP.

`python -m scripts.evaluate --framework torch --preset detr_r50 --weights FILE --data DIR`
"""

from __future__ import annotations

import argparse
from pathlib import Path

from door.files import read_json, write_json
from door.ranges import Range, add_number
from door.terminal import Console, Table
from neutral.config import Config
from neutral.data import SPLITS
from neutral.data.coco import CocoDataset
from neutral.errors import InputError
from neutral.evaluation import METRICS, Evaluation, evaluate, from_results, to_results
from neutral.files import check_ours, keep_apart
from neutral.notes import say
from neutral.panoptic import PanopticQuality, encoded_segments, panoptic_quality, write_predictions
from neutral.ranks import check_alone
from neutral.run import evaluation_run
from neutral.undefined import defined, shown
from neutral.voc_evaluation import VOC_RULES, evaluate_voc
from neutral.weights import open_weights
from scripts.common import (
    FRAMEWORKS,
    ProgressReport,
    make_progress,
    open_datasets,
    open_session,
    run_main,
)
from scripts.options import (
    Parser,
    add_config_options,
    add_loading_options,
    add_source_options,
    config_from,
)


def panoptic_table(quality: PanopticQuality) -> Table:
    table = Table("segments", "PQ", "SQ", "RQ", "classes")
    for name, which in (("all", "all"), ("things", "th"), ("stuff", "st")):
        scores = quality.of(which)
        table.add_row(name, *(shown(scores[k]) for k in ("pq", "sq", "rq")), str(scores["n"]))
    return table


def voc_table(dataset: CocoDataset, detections: dict, metrics: list[str]) -> Table:
    """mAP and AP by class, a column for each of VOC_RULES' `metrics`."""
    found = [evaluate_voc(dataset, detections, VOC_RULES[name]) for name in metrics]
    table = Table("class", *(f"AP ({name})" for name in metrics))
    table.add_row("mean", *(shown(result.mean) for result in found), end_section=True)
    for name in dataset.titles.values():
        table.add_row(name, *(shown(result.per_class[name]) for result in found))
    return table


def check_outputs(options: argparse.Namespace, dataset: CocoDataset) -> None:
    """InputError when what is written would take the place of what is read, or of what evaluate did not write."""
    outputs = [path for path in (options.out, options.curves) if path]
    keep_apart(outputs, [p for p in (options.detections, options.weights) if p])
    for path in outputs:
        if path.exists() and path.resolve().is_relative_to(dataset.root.resolve()):
            raise InputError(f"{path}: is a file of the data set; choose another name")
    if options.out:
        check_ours(options.out, are_results)
    if options.curves:
        check_ours(options.curves, lambda path: "curves" in read_json(path))


def are_results(path: Path) -> bool:
    records = read_json(path)
    return isinstance(records, list) and all(
        isinstance(r, dict) and r.keys() >= {"image_id", "category_id", "bbox", "score"}
        for r in records
    )


def add_options(parser: Parser) -> None:
    parser.add_argument("--framework", choices=FRAMEWORKS)
    add_config_options(parser)
    parser.add_argument(
        "--weights",
        type=Path,
        help="checkpoint.safetensors of a run, or any known source's file (see convert_weights)",
    )
    add_source_options(parser)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--split", choices=SPLITS, default="val")
    add_number(parser, "--val-images", int, Range(1), help="images, at most")
    parser.add_argument(
        "--metric",
        action="append",
        choices=tuple(VOC_RULES),
        help="VOC's mAP besides: 11-point, area, or as trzy/FasterRCNN has it; repeatable (VOC: the first two)",
    )
    parser.add_argument("--out", type=Path, help="write the detections here, as COCO results")
    parser.add_argument(
        "--curves",
        type=Path,
        help="write AP by class and precision over recall here (.json), for scripts.plot",
    )
    parser.add_argument(
        "--panoptic-out",
        type=Path,
        metavar="DIR",
        help="write the segments here, in COCO's panoptic format",
    )
    parser.add_argument(
        "--detections",
        type=Path,
        help="judge these detections (COCO results, as --out writes them); no framework is needed",
    )
    add_loading_options(parser)


def main() -> None:
    parser = Parser(description=__doc__)
    add_options(parser)
    options = parser.parse_args()
    check_alone("evaluate")
    for name, path in (("--out", options.out), ("--curves", options.curves)):
        if path and path.suffix != ".json":
            raise InputError(f"{name} {path}: is written as .json")
    config = config_from(options)
    dataset = open_datasets(config, options.cache_images)[options.split]
    check_outputs(options, dataset)
    losses, evaluation, detections = judged(options, config, dataset)
    console = Console()
    show(console, dataset, evaluation, detections)
    if segmented := encoded_segments(dataset, detections):
        console.print(panoptic_table(panoptic_quality(dataset, segmented)))
        if options.panoptic_out:
            write_predictions(options.panoptic_out, f"panoptic_{options.split}", dataset, segmented)
            console.print(f"segments: {options.panoptic_out}")
    elif options.panoptic_out:
        raise InputError(f"--panoptic-out: {config.name} makes no segments, or the data have none")
    voc = options.metric or (["voc07", "voc"] if config.data.kind == "voc" else [])
    if voc:
        console.print(voc_table(dataset, detections, voc))
    if losses:
        console.print(f"loss {shown(losses['test_loss'])} over {len(detections)} images")
    if options.out:
        write_json(options.out, to_results(dataset, detections), indent=None)
        console.print(f"detections: {options.out}")
    if options.curves:
        per_class = {k: defined(v[0]) for k, v in evaluation.per_class.items()}
        write_json(options.curves, {"per_class": per_class, "curves": evaluation.curves})
        console.print(f"curves: {options.curves}")


def judged(
    options: argparse.Namespace, config: Config, dataset: CocoDataset
) -> tuple[dict | None, Evaluation, dict]:
    """Losses, where a model was run, the evaluation, and detections by image: of --detections or of --weights."""
    if options.detections:
        detections = from_results(dataset, options.detections, options.val_images)
        return None, evaluate(dataset, detections), detections
    if not (options.framework and options.weights):
        raise InputError("give --framework and --weights, or --detections")
    weights = open_weights(options.weights, config, options.source, options.inside)
    if weights.categories:
        weights.categories.check_same(dataset.known, str(options.weights), dataset.source)
    else:
        say(
            f"{options.weights}: does not say its classes; they are taken for those of {dataset.source}"
        )
    session = open_session(options.framework, config, options.device)
    session.load(weights.weights())
    with make_progress() as progress:
        report = ProgressReport(progress, options.framework)
        return evaluation_run(session, config, dataset, options.val_images, report, options.workers)


def show(console: Console, dataset: CocoDataset, evaluation: Evaluation, detections: dict) -> None:
    """COCO's metrics, of masks too where there are any, and AP by class."""
    judged = {"boxes": evaluation}
    if dataset.has_codes and any("masks" in found for found in detections.values()):
        judged["masks"] = evaluate(dataset, detections, "segm")
    table = Table("metric", *judged)
    for name in METRICS:
        table.add_row(name, *(shown(e[name]) for e in judged.values()))
    console.print(table)
    classes = Table("class", "AP", "AP50")
    for name, values in evaluation.per_class.items():
        classes.add_row(name, *map(shown, values))
    console.print(classes)


if __name__ == "__main__":
    run_main(main)
