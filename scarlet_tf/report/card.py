"""Model cards in Markdown: what a model is, what it takes, what it is for, and what was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from scarlet_tf.arch import ArchSpec, count
from scarlet_tf.formats import PLAIN

CLASSES_SHOWN = 20
PAPER = "https://arxiv.org/abs/1908.06022"
CITATION = """\
@article{chu2019scarlet,
  title={SCARLET-NAS: Bridging the Gap Between Scalability and Fairness in Neural Architecture Search},
  author={Chu, Xiangxiang and Zhang, Bo and Li, Jixiang and Li, Qingyuan and Xu, Ruijun},
  journal={arXiv preprint arXiv:1908.06022},
  year={2019}
}"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """The data of a model card.

    Attributes:
        model: value of a tool's --model, a zoo name or a folder.
        name: the card's name for the model; its files are NAME.md and NAME.svg.
        published: the paper's figures, by the names of zoo.ModelInfo; None for any other network.
        weights: sentences on where the weights come from.
        mean, std: per channel, of the pixels over 255, for normalising images.
        training: a folder's training.json.
        verification: what verify.py wrote about the model.
        latency: rows (file, partitions, ratio to EfficientNetB0's file of the same format), with `latency_source`.
        instructions: rows (file, emulated processor, instructions, ratio to EfficientNetB0's cheapest file of the same
            format), with `instructions_source`.
    """

    model: str
    name: str
    spec: ArchSpec
    weights: str
    mean: Sequence[float]
    std: Sequence[float]
    published: Mapping[str, object] | None = None
    training: Mapping | None = None
    verification: Mapping | None = None
    latency: Sequence[tuple[str, int, float]] = ()
    latency_source: str = ""
    instructions: Sequence[tuple[str, str, int, float]] = ()
    instructions_source: str = ""

    @property
    def picture(self) -> str:
        """File name of the picture, which lies beside the card."""
        return f"{self.name}.svg"

    def markdown(self) -> str:
        parts = [
            f"# {self.name}",
            f"![{self.name}: colour is the kernel, height the expansion ratio, a frame means squeeze-and-excite]"
            f"({self.picture})",
            self._facts(),
            f"## Images\n\n{self._images()}",
            f"## Weights\n\n{self.weights}",
            f"## Use and limits\n\n{self._use()}",
            f"## Export\n\n{self._export()}",
        ]
        if self.verification:
            parts.append(f"## Checked\n\n{self._checked()}")
        if self.latency:
            parts.append(f"## Speed\n\n{self._speed()}")
        if self.instructions:
            parts.append(f"## Instructions on ARM64\n\n{self._instructions()}")
        parts.append(f"## Licence and citation\n\n{_licence(self.published is not None)}")
        return "\n\n".join(parts) + "\n"

    def _facts(self) -> str:
        spec, counts = self.spec, count(self.spec)
        rows = [("network", f"`{spec.name}`")] if spec.name != self.name else []
        rows += [
            ("input", " x ".join(map(str, spec.input_shape))),
            ("classes", self._classes()),
            ("multiply-adds", f"{counts.madds / 1e6:,.2f} M"),
            ("params (trainable)", f"{counts.params:,}"),
            ("blocks", f"{len(spec.blocks)}, of which {sum(b.kind == 'identity' for b in spec.blocks)} identities"),
            ("dropout", f"{spec.dropout}"),
        ]
        if spec.genome:
            rows.append(("genome", f"{','.join(map(str, spec.genome))} in the space `{spec.space}`"))
        if self.published:
            paper = self.published
            rows += [
                (
                    "paper: multiply-adds, params",
                    f"{paper['paper_madds'] / 1e6:,g} M, {paper['paper_params'] / 1e6:g} M",
                ),
                ("paper: ImageNet top-1, top-5", f"{paper['paper_top1']} %, {paper['paper_top5']} %"),
            ]
        if self.training:
            rows.append(("started from", self._start()))
            test, data = self.training["test"], self.training["data"]["name"]
            rows.append((f"{data}: test top-1", f"{test['top1']:.4f} on {test['examples']:,} images"))
        table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
        note = self.published and self.published["note"]
        return f"{table}\n\n{note[0].upper()}{note[1:]}." if note else table

    def _classes(self) -> str:
        names = (self.training or {}).get("class_names") or ()
        shown = ", ".join(str(name).replace("|", "\\|") for name in names[:CLASSES_SHOWN])
        more = f" and {len(names) - CLASSES_SHOWN:,} more" if len(names) > CLASSES_SHOWN else ""
        return f"{self.spec.classes:,}" + (f": {shown}{more}" if shown else "")

    def _start(self) -> str:
        if origin := self.training.get("started_from"):
            return origin
        return "unnamed weights" if self.training.get("inherited_weights") else "random weights"

    def _images(self) -> str:
        numbers = "; ".join(
            f"{label} {', '.join(f'{value:g}' for value in values)}"
            for label, values in (("mean", self.mean), ("standard deviation", self.std))
        )
        return (
            f"RGB, divided by 255, then normalised per channel: {numbers}.\n"
            "`include_preprocessing=True`, or `--include_preprocessing` when exporting, puts this into the graph."
        )

    def _use(self) -> str:
        if self.published:
            return (
                "Image classification on phones and other small devices, and, with `zoo.feature_extractor`, a\n"
                "backbone for detection and segmentation. This project trained nothing on ImageNet; the\n"
                "accuracy above is the paper's, for the authors' weights. Random weights classify nothing. The\n"
                "classes, and their gaps, are ImageNet's: do not use it for decisions about people, or without\n"
                "tests on your own images."
            )
        trained = (
            f"on {self.training['data']['name']}" if self.training else "on a dataset that this card does not know"
        )
        return (
            f"Trained {trained}: it classifies only that dataset's classes, in images like that dataset's.\n"
            "Measure its accuracy on other images before use."
        )

    def _export(self) -> str:
        weights = f" --weights={self.name}.weights.h5" if self.published else ""
        images = self.training["data"]["name"] if self.training else "folder:IMAGES"
        lines = [
            f"python tools/export_saved_model.py --model={self.model}{weights} --output=saved_model",
            f"python tools/export_tflite.py --model={self.model}{weights} --output={self.name}.tflite",
            f"python tools/export_tflite.py --model={self.model}{weights} --output={self.name}_int8.tflite \\\n"
            f"    --quantize=int8 --representative_dataset={images}",
        ]
        return "```text\n" + "\n".join(lines) + "\n```"

    def _checked(self) -> str:
        report = self.verification
        trained = report["keras_accuracy"] is not None
        rows = ["| format | bytes | operations | partitions | error / largest output |", "|---|---|---|---|---|"]
        if trained:
            rows = [f"{rows[0]} same top-1 | top-1 |", f"{rows[1]}---|---|"]
            rows.append(f"| Keras | | | | | | {report['keras_accuracy']:.4f} |")
        for check in report["formats"]:
            cells = [
                PurePath(check["path"]).name + (f", {PLAIN}" if PLAIN in (check.get("format") or "") else ""),
                f"{check['bytes']:,}",
                str(check["ops"] or ""),
                str(check["partitions"] or ""),
                f"{check['relative_error']:.1e}",
                *([f"{check['top1_agreement']:.4f}", f"{check['accuracy']:.4f}"] if trained else []),
            ]
            rows.append(f"| {' | '.join(cells)} |")
        kind, then = ("trained", "") if trained else ("random", " Only trained weights show how int8 affects accuracy.")
        return (
            f"Every format compared with Keras by `tools/verify.py`, with {kind} weights on "
            f"{report['images']:,} images;\n"
            f"partitions are the parts of the graph that XNNPACK runs.{then}\n\n" + "\n".join(rows)
        )

    def _speed(self) -> str:
        rows = ["| file | partitions | time / EfficientNetB0's |", "|---|---|---|"]
        rows += [f"| {file} | {pieces} | {ratio:.2f} |" for file, pieces, ratio in self.latency]
        return f"{self.latency_source}\n\n" + "\n".join(rows)

    def _instructions(self) -> str:
        rows = ["| file | processor | M instructions | / EfficientNetB0's |", "|---|---|---|---|"]
        rows += [
            f"| {file} | {cpu} | {count / 1e6:.1f} | {ratio:.2f} |" for file, cpu, count, ratio in self.instructions
        ]
        return f"{self.instructions_source}\n\n" + "\n".join(rows)


def _licence(published: bool) -> str:
    authors = (
        " The authors' repository states no licence for their\ncheckpoints: ask them before shipping."
        if published
        else ""
    )
    return f"Code and this card: Apache-2.0.{authors} To cite the paper ({PAPER}):\n\n```text\n{CITATION}\n```"
