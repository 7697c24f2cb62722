"""Markdown pages of the figures, made from the content of their JSON files."""

from __future__ import annotations

import numpy as np

from scarlet_tf.image_size import height_and_width
from scarlet_tf.intervals import Estimate
from scarlet_tf.machine import describe
from scarlet_tf.markdown import remarks
from scarlet_tf.reproduce.figure4 import META_GENOME, meta_genome
from scarlet_tf.reproduce.spaces import IDENTITY

ARM_LABELS = {
    "let": "LET, starts as identity",
    "let_normal": "LET, starts at random",
    "plain": "plain identity",
    "none": "no identity",
}
_DIFFERENCES = {
    "mean": "mean",
    "spread": "spread",
    "mean_of_paths_with_identity": "mean of paths with an identity",
    "mean_of_paths_without_identity": "mean of paths without",
}
_COMMON_PATHS = """ A supernet without identities has no paths with one, so
it is compared on as many other random paths, without an identity, that all arms have."""
_MOST = 3  # identities of a path; paths with more count as this many


def make_figure1_page(result: dict, *, picture: str) -> str:
    """Return figure1.md from the content of figure1.json.

    Args:
        picture: file name of the picture.
    """
    config, arms, less = result["config"], result["arms"], result["let_less"]
    rows = "\n".join(
        f"| {ARM_LABELS[arm]} | {_last(found['mean']):.3f} | {_last(found['spread']):.3f} | "
        f"{np.min(found['last_accuracies'], axis=1).mean():.3f} |"
        for arm, found in arms.items()
    )
    differences = "\n".join(
        f"| {label} | " + " | ".join(_estimate(values.get(what)) for values in less.values()) + " |"
        for what, label in _DIFFERENCES.items()
        if any(what in values for values in less.values())
    )
    return f"""# Figure 1: LET, plain identity, no identity; space {config["space"]}

    {result["command"]}

{describe(result)}; {_seeds(config["seeds"], first=config["first_seed"])}.
Space "{config["space"]}" with {len(arms["let"]["genomes"][0])} layers, {config["data"]["name"]}, {config["steps"]} \
fair steps of batch {config["batch_size"]} ({config["warmup_steps"]} of them warm-up), \
learning rate {config["learning_rate"]:g}.

A plain identity learns nothing: the channels that a layer's input and output share pass on, new ones are zero, and at
stride 2 the 2x2 max pool comes first. LETs start as just that, where they are not said to start at random. All arms
of a seed share their other first weights, and their batches. Measured: {config["paths"]} random paths on \
{config["images"]} training images,
BN with the statistics of these images.

![Mean, spread and last accuracies of the paths]({picture})

| at the last step, mean of the seeds | mean of the paths | spread (deviation) over the paths | worst path |
|---|---|---|---|
{rows}

| at the last step | {" | ".join(f"LET less {ARM_LABELS[arm]}" for arm in less)} |
|---|{"---|" * len(less)}
{differences}

{_intervals(config["seeds"])}{_COMMON_PATHS if "none" in less else ""}

{_by_identities(arms)}

The paper (ImageNet, 19 layers, 60 epochs): with LETs the mean is about 20 points higher than with plain identities and
the spread much lower, and with plain identities quite some paths stay below 30 %.
{remarks(result)}"""


def _by_identities(arms: dict) -> str:
    """Return a table of the mean accuracy at the last step of the paths with 0, 1, ... identities."""
    arms = {arm: found for arm, found in arms.items() if arm != "none"}
    held = {arm: np.minimum((np.array(f["genomes"]) == IDENTITY).sum(axis=1), _MOST) for arm, f in arms.items()}
    lines = [
        f"| identities of a path | paths | {' | '.join(ARM_LABELS[arm] for arm in arms)} |",
        f"|---|---|{'---|' * len(arms)}",
    ]
    for count in np.unique(held["let"]):
        means = [np.array(found["last_accuracies"])[:, held[arm] == count].mean() for arm, found in arms.items()]
        label = f"{count} or more" if count == _MOST else f"{count}"
        cells = (label, str((held["let"] == count).sum()), *(f"{mean:.3f}" for mean in means))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def make_figure4_page(result: dict) -> str:
    """Return figure4.md from the content of figure4.json."""
    config, data = result["config"], result["data"]
    networks = "\n".join(_network(network) for network in result["networks"])
    rows = "\n".join(_network_row(network, result) for network in result["networks"])
    steps = result["networks"]["small"]["let"]["steps"]
    seeds = len(result["networks"]["small"]["let"]["test"])
    return f"""# Figure 4: the meta model with and without ReLU after its LETs

    {result["command"]}

{describe(result)}; {_seeds(seeds)}.
{data["name"]} at {"x".join(map(str, height_and_width(data["image_size"])))}, recipe "{config["recipe"]}", \
{steps[-1]:.0f} steps of batch {config["batch_size"]} (epochs: {config["epochs"]:g}).
{data["search_validation"]} of the training images are held out; test accuracy is on the test set. The paper's meta \
model stands here in
two ways ({_genes(META_GENOME)}):

{networks}

Both kinds of a seed start from the same weights and see the same batches.

![Training accuracy over steps](figure4.svg)

| network | LET: training, test | LET and ReLU: training, test | difference in training | difference in test |
|---|---|---|---|---|
{rows}

Training accuracy is the mean over the last of {len(steps)} parts of the steps; differences are without less with ReLU.
{_intervals(seeds)}
The paper states no numbers.
{remarks(result)}"""


def _network(network: str) -> str:
    genome = meta_genome(network)
    lets = f"{genome.count(IDENTITY)} LETs"
    if genome == META_GENOME:
        return f"- {network}: all {len(genome)} layers with {lets}, at a quarter of the width."
    last = len(genome) - 1
    return (
        f'- {network}: the space "{network}"; its layer i of {len(genome)} takes the gene of layer '
        f"round({len(META_GENOME) - 1} i / {last}): {_genes(genome)}, so {lets}."
    )


def _network_row(network: str, result: dict) -> str:
    kinds, less = result["networks"][network], result["without_less_with_relu"][network]
    ends = [f"{_last(kinds[kind]['curve']):.4f}, {np.mean(kinds[kind]['test']):.4f}" for kind in ("let", "let_relu")]
    return f"| {network} | {' | '.join(ends)} | {_estimate(less['training'])} | {_estimate(less['test'])} |"


def bound_label(accuracy_above: float | None) -> str:
    return "no constraint" if accuracy_above is None else f"accuracy > {accuracy_above:.4g}"


def make_figure6_page(result: dict) -> str:
    """Return figure6.md from the content of figure6.json."""
    config, evaluation = result["config"], result["evaluation"]
    bounds = [
        f"{arm['accuracy_above']:.4g} (quantile {quantile:g})"
        for quantile, arm in zip(config["quantiles"], list(result["arms"].values())[1:], strict=True)
    ]
    arms = "\n".join(_arm_row(arm) for arm in result["arms"].values())
    differences = "\n".join(
        f"| {bound_label(result['arms'][name]['accuracy_above'])} | {_estimate(values['final_population'])} | "
        f"{_estimate(values['mean_over_generations'])} |"
        for name, values in result["identity_share_without_less_with"].items()
    )
    return f"""# Figure 6: search with and without a least accuracy

    {result["command"]}

{describe(result)}; {_seeds(config["seeds"])}.
Population {config["population"]}, {config["generations"]} generations, the paper's objectives and weights; all arms \
search the same supernet
with the same settings, without a bound on multiply-adds.
{supernet_in_words(result["supernet"])}
One-shot accuracy is on {evaluation["images"]} images held out for the search, BN {evaluation["bn"]} on \
{evaluation["calibration_images"]} training images.

Acc_min: {", ".join(bounds)}, of the accuracies of {config["draws"]} models drawn uniformly, on the same images.

![Fronts, and share of identities](figure6.svg)

| arm, mean of the seeds | identity share: generation 0 | last | mean | accuracy of the last population | evaluated |
|---|---|---|---|---|---|
{arms}

| identity share without the constraint less with | last population | mean over generations |
|---|---|---|
{differences}

{_intervals(config["seeds"])}
Above 0 the constraint keeps identities out, as in the paper. The picture's fronts are the members of the last
population that no other beats in both accuracy and multiply-adds.

The paper (ImageNet, 19 layers, 100 generations, Acc_min 0.4): without the constraint the share grows from 0.08 to about
0.2, with it it settles at about 0.05, and the last population's accuracies rise from 0.25..0.57 to 0.4..0.65.
"""


def supernet_in_words(supernet: dict) -> str:
    """Describe a supernet in a sentence, from "fingerprint", "step" and "config" of a `TrainedSupernet`."""
    config = supernet["config"]
    steps = f"{supernet['step']} of {config['steps']}" if supernet["step"] < config["steps"] else config["steps"]
    return (
        f'The supernet ({supernet["fingerprint"]}): space "{config["space"]["name"]}", {config["data"]["name"]}, '
        f"{steps} fair steps of batch {config['batch_size']}."
    )


def _arm_row(arm: dict) -> str:
    share, accuracies = np.array(arm["identity_share"]), np.array(arm["accuracy_range"]).mean(axis=0)
    return (
        f"| {bound_label(arm['accuracy_above'])} | {share[:, 0].mean():.3f} | {share[:, -1].mean():.3f} | "
        f"{share.mean():.3f} | {accuracies[0]:.3f}..{accuracies[1]:.3f} | {np.mean(arm['evaluated']):.0f} |"
    )


def _seeds(count: int, *, first: int = 0) -> str:
    return f"seed {first}" if count == 1 else f"seeds {first} to {first + count - 1}"


def _intervals(seeds: int) -> str:
    if seeds == 1:
        return "One seed gives no intervals."
    return "In brackets 95 % Student's t intervals over the seeds, in pairs."


def _last(curves: list) -> float:
    """Return the last point of curves, (seeds, T), averaged over the seeds."""
    return float(np.mean(curves, axis=0)[-1])


def _estimate(values: dict | None) -> str:
    return "" if values is None else str(Estimate(**values))


def _genes(genome: tuple[int, ...]) -> str:
    return ",".join(map(str, genome))
