"""Other bodies for `Linear`: the same product, by the instructions that a machine is fast at.

The book multiplies by `F.linear`. Some machines have faster ways, which take the weights in a
format of their own and cannot be differentiated. Each is a `Body` here, or in integers.py; rule.py
says which one serves, probe.py tries it first, and optimize.py puts it into a copy of a model.
Operators that PyTorch keeps to itself are used in these files only, and only where they are found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.engine.probe import probe
from minibert.linear import Linear


class Body(Linear):
    """A `Linear` for inference only. Subclasses say how they multiply.

    A plain one becomes a body by `exchange`. What it then multiplies by stands in attributes that
    are no parameters, in a format that only this process can read. Deep copies and pickles
    therefore carry the weights, and pack them again.
    """

    # Of what goes in and comes out, and so of the whole optimized model, LayerNorms included.
    dtype = torch.float32
    tolerance = 1e-5  # the largest error, as a share of the result, that its number format explains
    packed: tuple[str, ...] = ()  # the attributes that `pack` makes of the weights
    few_sizes = False  # whether it is given few numbers of rows only, see `in_few_sizes`

    @torch.no_grad()
    def enter(self) -> None:
        """Take over the weights of the plain `Linear` that this was until now."""
        if self.bias is None:
            raise ValueError("a Linear without a bias has no body; BERT's all have one")
        weight = self.weight.detach()
        self.out_features, self.in_features = weight.shape  # of a pruned layer they may be old
        del self.weight
        bias = self.bias.detach().to(self.dtype, copy=True)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.pack(weight)
        self.eval()

    def pack(self, weight: Tensor) -> None:
        """Take over weights, (out, in): those of the plain layer, of any float type and neither to
        be changed nor kept, or what `unpack` gave. Runs in several threads at once."""
        raise NotImplementedError

    def unpack(self) -> Tensor:
        """What `pack` makes the same body of again, in a format of its own choice. Attributes that
        are not named in `packed` travel along."""
        raise NotImplementedError

    def multiply(self, x: Tensor) -> Tensor:
        """x W^T + b: (N, in) contiguous, N > 0 -> (N, out), a tensor that nobody else holds."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or self.training:
            raise RuntimeError(
                "an optimized model computes no gradients and no dropout: call it in "
                "torch.inference_mode() and eval() mode, and train the model it was made from"
            )
        if not x.numel():
            return x.new_empty(*x.shape[:-1], self.out_features)
        rows = x.reshape(-1, self.in_features)  # (N, in)
        try:
            y = in_few_sizes(rows, self.multiply) if self.few_sizes else self.multiply(rows)
        except RuntimeError as error:
            if not torch.is_autocast_enabled(x.device.type):
                raise
            raise RuntimeError(
                "an optimized model has a precision of its own: call it outside of torch.autocast, "
                "and choose by optimize(model, precision)"
            ) from error
        return y.view(*x.shape[:-1], -1)

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name not in self.packed}
        weight = self.unpack()
        if weight.is_cpu:
            # As bytes. A tensor would go to a spawned process in shared memory, and one that was
            # made here only has gone, with its memory, before that process has opened it.
            return {**state, "unpacked": (_as_bytes(weight), weight.dtype)}
        return {**state, "unpacked": weight}

    def __setstate__(self, state: dict[str, Any]) -> None:
        failure = probe(type(self))
        if failure:  # it may come from another machine
            raise RuntimeError(
                f"{type(self).__name__} {failure} on this machine; copy or pickle the model it was "
                "made from, and optimize that here"
            )
        state = dict(state)
        weight = state.pop("unpacked")
        if isinstance(weight, tuple):
            weight = torch.from_numpy(weight[0]).view(weight[1])
        super().__setstate__(state)
        self.pack(weight)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Body:
        refuse_move(self.bias, fn)
        return self

    def _save_to_state_dict(self, *_: Any) -> None:
        refuse_state_dict()

    def _load_from_state_dict(self, *_: Any) -> None:
        refuse_state_dict()


def _as_bytes(weight: Tensor) -> np.ndarray:
    """(out, in) of any type -> uint8 (out, in times its size); numpy has no bfloat16."""
    return weight.contiguous().view(torch.uint8).numpy()


def in_few_sizes(
    x: Tensor, multiply: Callable[[Tensor], Tensor], between_powers: int = 8
) -> Tensor:
    """multiply(x), (N, in) -> (N, out), by products with few different numbers of rows.

    oneDNN makes a kernel for every number of rows it meets, and keeps it in some 0.2 to 0.6 MB for
    each shape of the weights. Texts come in every length, so a process that answers them one by one
    would grow by hundreds of MB, and so does training. No row of a product knows of the others, so
    some can be added and their results dropped.

    between_powers: as for `size_for`.
    """
    extra = size_for(len(x), between_powers) - len(x)
    if not extra:
        return multiply(x)
    # Any rows will do, and these are at hand.
    return multiply(torch.cat((x, x[:extra].detach())))[: len(x)]


def size_for(rows: int, between_powers: int = 8) -> int:
    """How many rows to multiply instead of so many: with 8 sizes between a power of two and the
    next, at most an eighth more.

    These are 56 sizes up to 512. Measured: what they add to a product is 5 % in the mean, a third
    of what a kernel costs when its size is first seen.

    >>> [size_for(rows) for rows in (1, 16, 17, 100, 512, 513)]
    [1, 16, 18, 104, 512, 576]
    """
    step = max(1, (1 << (rows - 1).bit_length()) // (2 * between_powers))
    return -(-rows // step) * step


def refuse_move(parameter: Tensor, fn: Callable[[Tensor], Tensor]) -> None:
    """Raise `RuntimeError` if `fn` changes device or number format, which packed weights cannot."""
    moved = fn(parameter)
    if (moved.dtype, moved.device) != (parameter.dtype, parameter.device):
        raise RuntimeError(
            f"an optimized model stays {parameter.dtype} on {parameter.device}; move the model it "
            "was made from, and optimize that"
        )


def refuse_state_dict(*_: Any) -> None:
    """Raise `RuntimeError`: for bodies, and before anything of an optimized model is loaded."""
    raise RuntimeError(
        "an optimized model has no weights that could be saved or loaded; save the model it was "
        "made from, or load into that"
    )


class Plain(Body):
    """`F.linear`, on any device."""

    packed: tuple[str, ...] = ("plain_weight",)

    def pack(self, weight: Tensor) -> None:
        self.plain_weight = weight.to(self.dtype, copy=True)

    def unpack(self) -> Tensor:
        return self.plain_weight

    def multiply(self, x: Tensor) -> Tensor:
        return F.linear(x, self.plain_weight, self.bias)


class PlainBf16(Plain):
    """`F.linear` in bfloat16, for GPUs."""

    dtype = torch.bfloat16
    tolerance = 1e-2


class OneDnn(Body):
    """oneDNN's product with weights that were put into its blocked format once.

    `F.linear` reorders them at each call, which costs more than the product for a few tokens; and
    in fp32 it goes to MKL, which is slow on some CPUs.
    """

    packed: tuple[str, ...] = ("onednn_weight",)
    few_sizes = True

    def pack(self, weight: Tensor) -> None:
        # For 512 rows; the same format is fast for other numbers of them.
        weight = weight.to(self.dtype).contiguous()
        self.onednn_weight = torch.ops.mkldnn._reorder_linear_weight(weight, 512)

    def unpack(self) -> Tensor:
        return self.onednn_weight.to_dense()

    def multiply(self, x: Tensor) -> Tensor:
        # The operator can apply GELU or add a residual, too. On the CPUs measured that is slower
        # than PyTorch's own passes over a result that is still in the cache.
        weight = self.onednn_weight
        return torch.ops.mkldnn._linear_pointwise(x, weight, self.bias, "none", [], "")


class OneDnnBf16(OneDnn):
    """The same in bfloat16."""

    dtype = torch.bfloat16
    tolerance = 1e-2


class OneDnnTiles(OneDnn):
    """Tiles of 512 tokens go through oneDNN's 1x1 convolution, the rest through its product.

    A 1x1 convolution of a picture 512 wide and 1 high is the same product, and without AVX-512 its
    kernel is the faster one. Its weight format is right for one size of picture only: at others
    oneDNN falls back to a loop a hundred times slower. Hence tiles of one size, and both formats
    in memory.
    """

    TILE = 512
    packed: tuple[str, ...] = ("onednn_weight", "tile_weight")

    def pack(self, weight: Tensor) -> None:
        super().pack(weight)
        shape = [1, self.in_features, 1, self.TILE]
        kernel = weight.to(self.dtype)[:, :, None, None].contiguous()
        self.tile_weight = torch.ops.mkldnn._reorder_convolution_weight(
            kernel, [0, 0], [1, 1], [1, 1], 1, shape
        )

    def multiply(self, x: Tensor) -> Tensor:
        if len(x) < self.TILE:
            return super().multiply(x)
        parts = [self._convolve(tile) for tile in x.split(self.TILE) if len(tile) == self.TILE]
        rest = len(x) % self.TILE
        if rest:
            parts.append(super().multiply(x[-rest:]))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _convolve(self, x: Tensor) -> Tensor:
        """(TILE, in) -> (TILE, out)."""
        picture = x.view(1, 1, self.TILE, -1).permute(0, 3, 1, 2)  # (1, in, 1, TILE), channels last
        y = torch.ops.mkldnn._convolution_pointwise(
            picture, self.tile_weight, self.bias, [0, 0], [1, 1], [1, 1], 1, "none", [], ""
        )
        return y.permute(0, 2, 3, 1).view(self.TILE, -1)


class HalfWeights(Body):
    """fp32 activations, weights rounded to fp16 and products summed in fp32, by FBGEMM.

    Weights of 11 significant bits against bfloat16's 8, and nothing else is rounded. They take half
    the memory, which is what a product with few tokens waits for.
    """

    tolerance = 1e-3
    packed: tuple[str, ...] = ("half_weight",)

    def pack(self, weight: Tensor) -> None:
        weight = weight.float()
        largest = float(weight.abs().amax())
        if not largest <= torch.finfo(torch.float16).max:  # FBGEMM would cut it to that
            raise ValueError(f"its weight holds {largest:g}, and fp16 numbers end at 65504")
        self.half_weight = torch.ops.quantized.linear_prepack_fp16(weight, self.bias)

    def unpack(self) -> Tensor:
        return torch.ops.quantized.linear_unpack_fp16(self.half_weight)[0]

    def multiply(self, x: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic_fp16(x, self.half_weight)
