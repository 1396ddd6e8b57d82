"""Bodies of `Linear` that multiply 8-bit integers."""

from __future__ import annotations

import torch
from torch import Tensor

from minibert.engine.bodies import Body


class Int8(Body):
    """Weights and activations as 8-bit integers, their products summed exactly.

    Each output channel has a scale for its weights: w = scale q, q from -127 to 127. Each token has
    a step and a zero point for its activations, found when they arrive: x = step (zero + u), u from
    0 to 255. (After GELU the lowest value is never below -0.17; a range symmetric about 0 would
    waste half of the 256 steps.) Then

        x W^T = step (u q^T scale + zero (sum of w over in)),

    a product of integers and an outer product. Nothing in it depends on other tokens, so a text
    has the same result, bit for bit, whatever shares its batch.
    """

    LARGEST = 127
    tolerance = 2e-2
    # Added to 1.5 * 2^23, an fp32 number is rounded to a whole one, which stands in its lowest
    # bits: rounding, shifting and converting in one pass.
    SHIFT = 1.5 * 2**23
    packed: tuple[str, ...] = ("quantized", "onednn_weight")
    few_sizes = True

    def pack(self, weight: Tensor) -> None:
        if weight.dtype == torch.int8:  # from `unpack`; scale and sum are there already
            self.quantized = weight  # (out, in)
        else:
            weight = weight.float()
            self.scale = weight.abs().amax(dim=1).clamp_min(1e-20) / self.LARGEST  # (out,)
            if not self.scale.isfinite().all():  # as integers they would look like any other
                raise ValueError("its weight holds NaN or infinity, and 8-bit integers do not")
            whole = (weight / self.scale[:, None]).round_()  # (out, in)
            self.quantized = whole.to(torch.int8).contiguous()  # the kernels read no strides
            self.weight_sum = whole.sum(dim=1) * self.scale  # (out,)
            self.zeros = torch.zeros(self.out_features, dtype=torch.int32, device="cpu")
        shape = [512, self.in_features]  # of x; other numbers of rows are as fast
        self.onednn_weight = torch.ops.onednn.qlinear_prepack(self.quantized, shape)

    def unpack(self) -> Tensor:
        return self.quantized

    def multiply(self, x: Tensor) -> Tensor:
        low = x.amin(dim=1, keepdim=True).clamp_max_(0)  # (N, 1); 0 is always in the range
        high = x.amax(dim=1, keepdim=True).clamp_min_(0)  # (N, 1)
        step = (high - low).div_(254).clamp_min_(1e-30)  # not 255: rounding twice can add one
        inverse = step.reciprocal()
        zero = (low * inverse).round_()  # of the very product that x gets, so that u is never -1
        y = self.multiply_integers((x * inverse).add_(self.SHIFT - zero))
        return torch.addcmul(self.bias, y, step).addcmul_(step * zero, self.weight_sum)

    def multiply_integers(self, shifted: Tensor) -> Tensor:
        """u q^T scale: (N, in), u + SHIFT in fp32 -> (N, out). May overwrite what it is given. The
        step, one number for all tokens to this operator, is told it as 1."""
        u = shifted.view(torch.int32).to(torch.uint8)
        return torch.ops.onednn.qlinear_pointwise(
            u,
            1.0,
            0,
            self.onednn_weight,
            self.scale,
            self.zeros,
            None,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )


class Int7(Int8):
    """`Int8` with weights from -64 to 64, for CPUs without AVX-512's VNNI.

    Their instruction adds two products of 8 bits into 16 bits and clips the sum: 2 * 255 * 64 still
    fits, 2 * 255 * 127 would not, and the result would be wrong without a word.
    """

    LARGEST = 64


class Int7Few(Int7):
    """`Int7`, but FBGEMM multiplies up to 64 tokens; with so few it is the faster one.

    Its weights are in memory a second time. Both sum the same integers, exactly.
    """

    FEW = 64
    packed: tuple[str, ...] = (*Int7.packed, "fbgemm_weight")

    def pack(self, weight: Tensor) -> None:
        super().pack(weight)
        quantized = torch._make_per_channel_quantized_tensor(
            self.quantized, self.scale, torch.zeros_like(self.zeros), axis=0
        )
        self.fbgemm_weight = torch.ops.quantized.linear_prepack(quantized, None)

    def multiply_integers(self, shifted: Tensor) -> Tensor:
        if len(shifted) > self.FEW:
            return super().multiply_integers(shifted)
        u = shifted.sub_(self.SHIFT)  # whole numbers; FBGEMM converts as it packs
        return torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            u, 1.0, 0, self.fbgemm_weight
        )
