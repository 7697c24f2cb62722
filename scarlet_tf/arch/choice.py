"""Choices: the options of a searchable layer, written as "e6 k5 se" or "let"."""

from __future__ import annotations

import dataclasses
import math

from scarlet_tf.arch.block import BLOCK_ACTIVATIONS, BLOCK_KINDS, BlockSpec, SpecError
from scarlet_tf.choices import check_known

IDENTITIES = ("let", "identity")
KINDS = tuple(kind for kind, rules in BLOCK_KINDS.items() if rules.expands) + IDENTITIES
_DEFAULT_KIND, _DEFAULT_ACTIVATION = "inverted_residual", "h_swish"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """One option of a searchable layer (paper: Table 1).

    Attributes:
        kind: a kind of block that expands its input; "let", which skips the layer and in the supernet is a linearly
            equivalent transformation; or "identity", which skips the layer and learns nothing (the paper's baseline,
            Fig. 1). In a stand-alone model both are the same identity.
        expansion: expansion ratio, hidden channels divided by input channels.
        kernel_size: odd, 3 or more.
        se: whether the block has squeeze-and-excite, with a quarter of its hidden channels.
        activation: activation of the hidden channels, one of BLOCK_ACTIVATIONS.

    Raises:
        SpecError: for values that the kind does not support.

    Example:
        >>> choice = Choice.parse("e6 k5 se")
        >>> choice.expansion, choice.kernel_size, choice.se
        (6, 5, True)
    """

    kind: str = _DEFAULT_KIND
    expansion: float = 0
    kernel_size: int = 1
    se: bool = False
    activation: str = _DEFAULT_ACTIVATION

    def __post_init__(self) -> None:
        check_known("kind of choice", self.kind, KINDS, error=SpecError)
        if self.is_identity:
            given = (self.expansion, self.kernel_size, self.se, self.activation)
            if given != (0, 1, False, _DEFAULT_ACTIVATION):
                raise SpecError(
                    f"choice {self.kind!r} accepts no expansion ratio, kernel size, squeeze-and-excite or activation"
                )
            return
        number = isinstance(self.expansion, (int, float)) and not isinstance(self.expansion, bool)
        if not (number and 0 < self.expansion < math.inf):
            raise SpecError(
                f"a choice of kind {self.kind!r} needs an expansion ratio > 0 such as e6, got {self.expansion!r}"
            )
        self.block(8, out_channels=8, stride=1)

    @property
    def is_identity(self) -> bool:
        """Whether the choice skips its layer."""
        return self.kind in IDENTITIES

    def block(self, in_channels: int, *, out_channels: int, stride: int, let: bool = False) -> BlockSpec:
        """Return the block of this choice in a layer.

        Args:
            in_channels: output channels of the previous layer. A stand-alone identity keeps this number.
            out_channels: output channels of every other block.
            stride: 1 or 2.
            let: return the supernet's block, in which an identity is a LET with `out_channels` outputs.
        """
        if self.is_identity:
            kind, width = ("let", out_channels) if let else ("identity", in_channels)
            return BlockSpec(kind=kind, in_channels=in_channels, out_channels=width, stride=stride)
        hidden = max(1, round(in_channels * self.expansion))
        return BlockSpec(
            kind=self.kind,
            in_channels=in_channels,
            out_channels=out_channels,
            stride=stride,
            kernel_size=self.kernel_size,
            hidden_channels=hidden,
            se_channels=max(1, hidden // 4) if self.se else 0,
            shortcut=stride == 1 and in_channels == out_channels,
            activation=self.activation,
        )

    def __str__(self) -> str:
        if self.is_identity:
            return self.kind
        words = [] if self.kind == _DEFAULT_KIND else [self.kind]
        words += [f"e{self.expansion:g}", f"k{self.kernel_size}"]
        words += ["se"] if self.se else []
        words += [] if self.activation == _DEFAULT_ACTIVATION else [self.activation]
        return " ".join(words)

    @classmethod
    def parse(cls, text: str) -> Choice:
        """Parse a text such as "e4 k9 se", in any order and case; the reverse of `str`.

        Words: a kind (default inverted_residual), e and the expansion ratio, k and the kernel size, se, an activation
        (default h_swish).

        Raises:
            SpecError: for an invalid text, naming the text and the word.
        """
        if not isinstance(text, str):
            raise SpecError(f'a choice must be a string such as "e6 k5 se" or "let", got {text!r}')
        fields: dict[str, object] = {}
        for word in text.lower().split():
            field, value = _read(word, text)
            if field in fields:
                raise SpecError(f"choice {text!r} sets {field} twice")
            fields[field] = value
        if not fields:
            raise SpecError('a choice must be a string such as "e6 k5 se" or "let", got an empty string')
        try:
            return cls(**fields)
        except SpecError as error:
            raise SpecError(f"choice {text!r}: {error}") from error


def _read(word: str, text: str) -> tuple[str, object]:
    """Return the field that a word of a choice sets, and its value."""
    if word == "se":
        return "se", True
    if word in KINDS:
        return "kind", word
    if word in BLOCK_ACTIVATIONS:
        return "activation", word
    for letter, field in (("e", "expansion"), ("k", "kernel_size")):
        try:
            number = float(word[1:]) if word.startswith(letter) else None
        except ValueError:
            number = None
        if number is not None:
            return field, int(number) if number.is_integer() else number
    known = (*KINDS, *BLOCK_ACTIVATIONS, "se", "e3", "e6", "k3", "k5", "k7")
    check_known(f"word in choice {text!r}:", word, known, error=SpecError)
    raise AssertionError(word)
