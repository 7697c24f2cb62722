"""Write model cards, each a Markdown file and a picture, from data.

    python tools/make_cards.py --output=zoo/cards
    python tools/make_cards.py --models=runs/m --output=cards

Without --models, writes the cards of the published networks. Accuracy comes from a trained model's folder. The results
of verify.py come from verify.json in that folder, if there is one, and for a published network from
RESULTS/verify_NAME.json.
"""

from absl import flags

from scarlet_tf.cli import run

_MODELS = flags.DEFINE_list(
    "models", None, "Zoo names and trained models' folders, separated by commas; default: the published networks."
)
_OUTPUT = flags.DEFINE_string("output", None, "The folder to write NAME.md and NAME.svg to.", required=True)
_RESULTS = flags.DEFINE_string("results", None, "Folder of measured results; default: the project's zoo/results.")


def main() -> None:
    from pathlib import Path

    from scarlet_tf.files import write_atomically
    from scarlet_tf.paths import as_path
    from scarlet_tf.report import draw_architecture
    from scarlet_tf.zoo import list_models
    from scarlet_tf.zoo.cards import make_card

    results = Path(_RESULTS.value or Path(__file__).parents[1] / "zoo" / "results")
    output = as_path(_OUTPUT.value)
    cards = [make_card(model, results=results) for model in _MODELS.value or list_models()]
    output.mkdir(parents=True, exist_ok=True)
    for card in cards:
        write_atomically(output / card.picture, draw_architecture(card.spec))
        write_atomically(output / f"{card.name}.md", card.markdown())
        print(output / f"{card.name}.md")


if __name__ == "__main__":
    run(main)
