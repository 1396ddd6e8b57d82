"""Packing: forget the padding before the first layer, remember the rows for attention.

A batch of texts is a rectangle (B, T), filled up with padding. On SST-2 in random batches of 32,
two thirds of the rectangle is padding. But look at what a Transformer does with it: embeddings,
every product with weights, GELU and LayerNorm treat each token by itself; they never look
sideways. So they need no rectangle. The N real tokens can stand in one long list, (N, C), and the
padding need not exist. Only attention looks sideways, and it alone must know which tokens share a
row.

The first step of model.py packs `input_ids`. On first reading, take in the drawing and imagine a
batch without padding: then N = B * T, there is one group, G = B and S = T, and pack, unpack, pad
and unpad only change the view.

The list holds whole rows, longest first. Rows of one length are then neighbours, and attention can
lift each run of them into a small rectangle of its own, a `Group` of G rows and S slots. (A slot is
not a column of the batch: a row with holes in its mask is closed up.)

    batch                 packed list, N = 12           three groups       two groups, in training
    row 0   a b c . .     f g h i j a b c d e k l       1   f g h i j      1   f g h i j
    row 1   d e . . .                                   2   a b c          1   a b c . .
    row 2   f g h i j                                   3   d e            2   d e
    row 3   k l . . .                                   3   k l            2   k l

So nothing is padded at all, and attention gives a row the same result whatever shares its batch.
But each group is a step of its own, forward and backward; in training, rows of similar length
therefore share one after all, and a mask hides the slots in which a shorter row has no token.

Letters of this file and the next. A row is always one text, or pair of texts, of the batch. A group
has G rows of S slots and n real tokens. P is the number of rows whose [CLS] is not hidden by the
mask, R that of the tokens whose result is wanted. Lesson: examples/lessons/04_self_attention.py.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from minibert._checks import check_switch


@dataclass(frozen=True)
class Group:
    """Rows of one length, or in training of similar length, side by side in the packed list.

    start, stop: the group's tokens are list[start:stop], n = stop - start of them.
    rows, width: the rectangle that holds them has G rows of S slots.
    mask: (G, S) bool, True where a slot holds a real token; None when every slot does.
    """

    start: int
    stop: int
    rows: int
    width: int
    mask: Tensor | None

    @cached_property
    def slots(self) -> Tensor | None:
        """(n,) where in the rectangle, read row by row, each token stands; None: all in order."""
        return None if self.mask is None else self.mask.flatten().nonzero().squeeze(1)

    def pad(self, x: Tensor) -> Tensor:
        """The group's part of a packed (N, ...), as a rectangle (G, S, ...), zeros at padding."""
        x = x[self.start : self.stop]  # (n, ...)
        if self.slots is not None:
            empty = x.new_zeros(self.rows * self.width, *x.shape[1:])
            x = empty.index_copy(0, self.slots, x)  # (G * S, ...)
        return x.view(self.rows, self.width, *x.shape[1:])  # (G, S, ...)

    def unpad(self, x: Tensor) -> Tensor:
        """The reverse: (G, S, ...) -> (n, ...), the padding dropped."""
        x = x.flatten(0, 1)  # (G * S, ...)
        return x if self.slots is None else x.index_select(0, self.slots)  # (n, ...)


class Packing:
    """Which positions of a (B, T) batch hold real tokens, and in which order they are packed.

    Built once a batch from the attention mask, (B, T) bool, True at real tokens; holes may be
    anywhere.

    mask: (B, T), the mask itself.
    row, column: (N,) where each real token stands in the batch, in packed order. The column is
        also its position, so the result equals the padded model's whatever the mask.
    order: (B,) the numbers of the rows in packed order, the longest first.
    lengths: how many real tokens each of the B rows has, in packed order.
    first: (P,) packed index of each row's first token, [CLS]. first_row: (P,) the number of that
        row. P < B only if the mask hides the [CLS] of some row.
    groups: the rectangles attention works on, in order, covering all N tokens.
    starts: where each row begins, for an attention that needs no rectangles.

    mixed: whether rows of similar length may share a group, with padding; the model asks for it in
    training mode.
    """

    def __init__(self, mask: Tensor, mixed: bool = False) -> None:
        self.mask = mask
        self.batch_size, self.length = mask.shape
        lengths = mask.sum(dim=1)  # (B,) real tokens of each row
        # Longest row first; stable, so that a batch without padding keeps its order.
        self.order = lengths.argsort(descending=True, stable=True)  # (B,)
        rank, self.column = mask[self.order].nonzero(as_tuple=True)  # (N,), (N,)
        self.row = self.order[rank]  # (N,)
        self.first = (self.column == 0).nonzero().squeeze(1)  # (P,)
        self.first_row = self.row[self.first]  # (P,)
        self.lengths = lengths[self.order].tolist()
        self.groups = _groups(self.lengths, mixed, mask.device)

    @property
    def is_full(self) -> bool:
        """Whether nothing was padded; packing is then a change of view."""
        return len(self.row) == self.batch_size * self.length

    @cached_property
    def starts(self) -> Tensor:
        """(B + 1,) int32: where in the packed list each row begins, and the end of the last one."""
        ends = list(accumulate(self.lengths, initial=0))
        return torch.tensor(ends, dtype=torch.int32, device=self.mask.device)

    def pack(self, x: Tensor) -> Tensor:
        """(B, T, ...) -> (N, ...), the real tokens in packed order."""
        return x.flatten(0, 1) if self.is_full else x[self.row, self.column]

    def indices(self, chosen: Tensor) -> Tensor:
        """Real tokens marked in a (B, T) bool -> their packed indices (R,).

        They come in the batch's order, as input_ids[chosen] does, not with the longest row first.
        """
        found = self.pack(chosen).nonzero().squeeze(1)  # (R,), in packed order
        return found[(self.row[found] * self.length + self.column[found]).argsort()]

    def unpack(self, x: Tensor, padding: float = 0.0) -> Tensor:
        """(N, C) -> (B, T, C), with this number at padding."""
        if self.is_full:
            return x.view(self.batch_size, self.length, -1)
        padded = x.new_full((self.batch_size, self.length, x.shape[1]), padding)
        return padded.index_put((self.row, self.column), x)

    def place_first(self, x: Tensor) -> Tensor:
        """(P, C), one vector a first token -> (B, C), zeros for a row whose [CLS] is hidden."""
        return x.new_zeros(self.batch_size, x.shape[1]).index_copy(0, self.first_row, x)

    def unpack_weights(self, weights: list[Tensor]) -> Tensor:
        """Attention weights of each group, (G, H, S, S), -> (B, H, T, T), zeros at padding."""
        heads = weights[0].shape[1]
        padded = weights[0].new_zeros(self.batch_size, heads, self.length, self.length)
        of_rows = (weight for group in weights for weight in group)  # (H, S, S), in packed order
        columns = self.column.split(self.lengths)  # a row's each; empty rows are last, and left out
        for row, at, weight in zip(self.order, columns, of_rows, strict=False):
            padded[row][:, at[:, None], at] = weight[:, : len(at), : len(at)]  # into the row's view
        return padded


class Record:
    """What the layers hand over as they go, for whoever asked to see it, unpacked to the batch.

    hidden_states: (B, T, C) each, the embeddings and each layer's output; None: not asked for.
    attentions: (B, H, T, T) each, every layer's weights; None: not asked for.
    """

    def __init__(
        self, packing: Packing, hidden_states: bool = False, attentions: bool = False
    ) -> None:
        check_switch("output_hidden_states", hidden_states)
        check_switch("output_attentions", attentions)
        self.packing = packing
        self.hidden_states: tuple[Tensor, ...] | None = () if hidden_states else None
        self.attentions: tuple[Tensor, ...] | None = () if attentions else None

    @property
    def is_kept(self) -> bool:
        """Whether anything was asked for."""
        return self.hidden_states is not None or self.attentions is not None

    def add_hidden_state(self, x: Tensor) -> None:
        """x: (N, C)."""
        if self.hidden_states is not None:
            self.hidden_states += (self.packing.unpack(x),)

    def add_attentions(self, weights: list[Tensor]) -> None:
        """weights: (G, H, S, S) of each group."""
        if self.attentions is not None:
            self.attentions += (self.packing.unpack_weights(weights),)


def _groups(lengths: list[int], mixed: bool, device: torch.device) -> list[Group]:
    """Cut rows, sorted longest first, into groups of one length.

    mixed: fewer than four rows of one length take in the shorter rows that follow, as long as each
    fills more than half the width. That bounds the waste: fewer than two slots for every real
    token, even when one text of 512 tokens comes with 31 short ones. Rows without any token belong
    to no group.
    """
    groups: list[Group] = []
    start, first_row = 0, 0
    while first_row < len(lengths) and lengths[first_row] > 0:
        width = lengths[first_row]
        stop_row = first_row + lengths[first_row:].count(width)
        if mixed and stop_row - first_row < 4:
            while stop_row < len(lengths) and 2 * lengths[stop_row] > width:
                stop_row += 1
        filled = lengths[first_row:stop_row]
        mask = None
        if filled[-1] < width:
            counts = torch.tensor(filled, device=device)
            mask = torch.arange(width, device=device) < counts[:, None]  # (G, S)
        groups.append(Group(start, start + sum(filled), len(filled), width, mask))
        start, first_row = start + sum(filled), stop_row
    return groups or [Group(0, 0, 0, 1, None)]  # an empty one, for a batch of nothing but padding
