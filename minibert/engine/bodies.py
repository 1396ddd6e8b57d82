"""Other bodies for `Linear`: the same product, by the instructions that a machine is fast at.

The book multiplies by `F.linear`. Some machines have faster ways, which take the weights in a
format of their own and cannot be differentiated. Each way is a `Body` here; `choose` is the rule
that says which one serves a precision on a device, `body_for` tries it on a small product first and
falls back to the plain one. Only this file uses operators that PyTorch keeps to itself, and only
behind a check that they are there. `inference.optimize` puts the bodies into a copy of a model.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.linear import ACTIVATIONS, Linear
from minibert.packing import Packing

Precision = Literal["fp32", "bf16", "int8"]


class Body(Linear):
    """A `Linear` for inference only, made from a plain one. Subclasses say how they multiply.

    What they multiply by stands in attributes that are no parameters, in a format that only this
    process can read. Deep copies and pickles therefore carry the weights, and pack them again.
    """

    dtype = torch.float32  # of what goes in and what comes out
    packed: tuple[str, ...] = ()  # the attributes that `pack` makes of the weights

    def __init__(self, linear: Linear) -> None:
        super(nn.Linear, self).__init__()  # not nn.Linear's own, which would draw random weights
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.dropout = linear.dropout
        bias = linear.bias.detach().to(self.dtype, copy=True)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.pack(linear.weight.detach())

    def pack(self, weight: Tensor) -> None:
        """Take over the weights, (out, in), of any float type; they may not be changed or kept."""
        raise NotImplementedError

    def unpack(self) -> Tensor:
        """Weights of which `pack` makes the same body again."""
        raise NotImplementedError

    def multiply(self, x: Tensor) -> Tensor:
        """x W^T + b: (N, in) contiguous, N > 0 -> (N, out), a tensor that nobody else holds."""
        raise NotImplementedError

    def forward(
        self, x: Tensor, activation: str | None = None, residual: Tensor | None = None
    ) -> Tensor:
        if torch.is_grad_enabled() or self.training:
            raise RuntimeError(
                "an optimized model computes no gradients and no dropout: call it in "
                "torch.inference_mode() and eval() mode, and train the model it was made from"
            )
        if x.numel():
            y = self.multiply(x.reshape(-1, self.in_features)).view(*x.shape[:-1], -1)
        else:
            y = x.new_empty(*x.shape[:-1], self.out_features)
        y = ACTIVATIONS[activation](y)
        return y if residual is None else y.add_(residual)

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name not in self.packed}
        return {**state, "unpacked": self.unpack()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        failure = probe(type(self))
        if failure:  # it may come from another machine
            raise RuntimeError(
                f"{type(self).__name__} {failure} on this machine; copy or pickle the model it was "
                "made from, and optimize that here"
            )
        state = dict(state)
        weight = state.pop("unpacked")
        super().__setstate__(state)
        self.pack(weight)

    def check_move(self, fn: Any) -> None:
        """Raise `RuntimeError` if `fn` would change device or number format: what is packed
        cannot follow."""
        moved = fn(self.bias)
        if (moved.dtype, moved.device) != (self.bias.dtype, self.bias.device):
            raise RuntimeError(
                f"an optimized model stays {self.bias.dtype} on {self.bias.device}; move the model "
                "it was made from, and optimize that"
            )

    def _apply(self, fn: Any, recurse: bool = True) -> Body:
        self.check_move(fn)
        return self

    def _save_to_state_dict(self, *_: Any) -> None:
        refuse_state_dict()

    def _load_from_state_dict(self, *_: Any) -> None:
        refuse_state_dict()


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


class OneDnn(Body):
    """oneDNN's product with weights that were put into its blocked format once.

    `F.linear` reorders them at each call, which costs more than the product for a few tokens; and
    in fp32 it goes to MKL, which is slow on some CPUs.
    """

    packed: tuple[str, ...] = ("onednn_weight",)

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

    packed: tuple[str, ...] = ("half_weight",)

    def pack(self, weight: Tensor) -> None:
        self.half_weight = torch.ops.quantized.linear_prepack_fp16(weight.float(), self.bias)

    def unpack(self) -> Tensor:
        return torch.ops.quantized.linear_unpack_fp16(self.half_weight)[0]

    def multiply(self, x: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic_fp16(x, self.half_weight)


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
    # Added to 1.5 * 2^23, an fp32 number is rounded to a whole one, which stands in its lowest
    # bits: rounding, shifting and converting in one pass.
    SHIFT = 1.5 * 2**23
    packed: tuple[str, ...] = ("quantized", "onednn_weight")

    def pack(self, weight: Tensor) -> None:
        if weight.dtype == torch.int8:  # from `unpack`; scale and sum are there already
            self.quantized = weight  # (out, in)
        else:
            weight = weight.float()
            self.scale = weight.abs().amax(dim=1).clamp_min(1e-20) / self.LARGEST  # (out,)
            whole = (weight / self.scale[:, None]).round_()  # (out, in)
            self.quantized = whole.to(torch.int8)
            self.weight_sum = whole.sum(dim=1) * self.scale  # (out,)
            self.zeros = torch.zeros(self.out_features, dtype=torch.int32)
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
            *(u, 1.0, 0, self.onednn_weight, self.scale, self.zeros, None),
            *(1.0, 0, torch.float32, "none", [], ""),
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
            *(u, 1.0, 0, self.fbgemm_weight)
        )


def keep_freed_memory() -> None:
    """Let this process keep up to 64 MB that it has freed, for its next tensors.

    glibc's malloc gives memory back early, and the system hands it out again page by page, zeroed:
    for a batch of 512 tokens through BERT-base 20,000 to 50,000 times. It raises its thresholds as
    far as they go when it sees a block of almost 32 MB freed (mallopt(3), M_MMAP_THRESHOLD).
    Measured: 3 to 10 % less time in fp32, 20 % in int8. Other allocators take no notice.
    """
    torch.empty(31 << 20, dtype=torch.uint8, device="cpu")


def varlen_attention(query: Tensor, key: Tensor, value: Tensor, packing: Packing) -> Tensor:
    """Attention over the packed list itself, (N, H, D) each -> (N, H, D): nothing is padded.

    For the GPUs that `has_varlen` names. Never run on one by us: only with a stand-in.
    """
    from torch.nn.attention.varlen import varlen_attn

    starts, longest = packing.starts, packing.lengths[0]
    context = varlen_attn(query, key, value, starts, starts, longest, longest)
    assert isinstance(context, Tensor)  # not a tuple, as nothing else was asked for
    return context


def has_varlen(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether PyTorch's kernel runs: NVIDIA from Ampere on (sm80), in half precision."""
    half = dtype in (torch.bfloat16, torch.float16)
    return device.type == "cuda" and half and torch.cuda.get_device_capability(device) >= (8, 0)


class Choice(NamedTuple):
    """What serves a precision: a body, and what to tell a user who asked for something else."""

    body: type[Body]
    note: str = ""


def choose(precision: Precision, device: torch.device) -> Choice:
    """The rule. It looks at device and CPU features only, so that a machine always chooses alike.

    Evidence (benchmarks/RESULTS.md has the figures and their commands; "elsewhere" are figures
    brought from another machine), GFLOP/s at BERT-base's shapes with some 500 tokens, two cores:

    fp32, AVX-512 (Zen 5, elsewhere): F.linear 170-200, oneDNN 410-450.
    fp32, AVX2 (Zen 3, here): F.linear 110-130, oneDNN 120-130 (with 16 tokens 35-60 against 30-45),
        tiles 125-155.
    bf16, AVX512_BF16 (Zen 5, elsewhere): F.linear and oneDNN about 880.
    bf16, AVX2 (here): emulated, 20; fp16 weights 120-145.
    int8, AVX2 (here): 170-220, quantizing included; PyTorch's _int_mm 3; with 16 tokens oneDNN
        40-90, FBGEMM 50-135. With VNNI (Zen 5, elsewhere): _int_mm and oneDNN about 1,700.

    GPUs, MPS and other CPUs have the plain body, in fp32 and where asked for, on GPUs, bf16.
    """
    check_precision(precision)
    if device.type != "cpu":
        if precision == "fp32":
            return Choice(Plain)
        if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
            note = "" if precision == "bf16" else "int8 has no kernel for GPUs here; bf16 is used"
            return Choice(PlainBf16, note)
        return Choice(Plain, f"{precision} is not supported on {device.type} here; fp32 is used")
    features = cpu_features()
    if precision == "fp32":
        if "onednn" not in features:
            return Choice(Plain)
        return Choice(OneDnn if "avx512" in features else OneDnnTiles)
    if precision == "bf16":
        if features >= {"onednn", "bf16"}:
            return Choice(OneDnnBf16)
        if "fbgemm" in features:
            return Choice(
                HalfWeights,
                "this CPU has no bf16 instructions, and emulating them is slower than fp32; "
                "weights of fp16 with fp32 activations are used, closer to fp32 than bf16 is",
            )
    elif "onednn int8" in features:
        without = Int7Few if "fbgemm" in features else Int7
        return Choice(Int8 if "vnni" in features else without)
    missing = f"this CPU has no {precision} kernel here; fp32 is used"
    return Choice(choose("fp32", device).body, missing)


def check_precision(precision: str) -> None:
    """Raise `ValueError` for what is none."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision is {precision!r}; it must be one of {get_args(Precision)}")


@cache
def cpu_features() -> frozenset[str]:
    """What this CPU and this build of PyTorch have, of what the rule asks for."""
    x86 = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    engines = torch.backends.quantized.supported_engines
    found = {
        "onednn": x86 and torch.backends.mkldnn.is_available(),
        "onednn int8": x86 and "onednn" in engines,
        "fbgemm": x86 and "fbgemm" in engines,
        "avx512": torch.backends.cpu.get_cpu_capability() == "AVX512",
        "bf16": torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
        "vnni": torch.cpu._is_vnni_supported(),
    }
    return frozenset(name for name, there in found.items() if there)


def body_for(precision: Precision, device: torch.device) -> type[Body]:
    """The body the rule chooses, if it passes its probe. Warns where it is not what was asked."""
    body, note = choose(precision, device)
    failure = probe(body)
    if failure:
        note = f"{body.__name__} {failure} on this machine; plain fp32 products are used"
        body = Plain
    if note:
        warnings.warn(note, stacklevel=3)
    return body


TOLERANCES: dict[type[Body], float] = {
    HalfWeights: 1e-3,
    OneDnnBf16: 1e-2,
    Int8: 2e-2,
    Int7: 2e-2,
    Int7Few: 2e-2,
}  # others: 1e-5


_FAILURES: dict[Any, str] = {}  # what `probe` found for each body


def probe(body: type[Body]) -> str:
    """What is wrong with a body on this machine, or "". Each is tried once."""
    if body not in _FAILURES:
        _FAILURES[body] = "" if issubclass(body, Plain) else _compare(body)
    return _FAILURES[body]


def _compare(body: type[Body]) -> str:
    """Small products beside plain ones in fp64: one token, a few, and more than a tile.

    The first row and the first channel are constant, so that integers reach their largest sums.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):  # the caller's numbers stay his
        linear = Linear(96, 32).requires_grad_(False)
        linear.weight.copy_(torch.randn(32, 96, generator=generator)).clamp_(-3, 3)[0] = 3.0
        linear.bias.copy_(torch.randn(32, generator=generator))
        x = torch.randn(OneDnnTiles.TILE + 3, 96, generator=generator)
    x[0, 1:] = 4.0
    exact = F.linear(x.double(), linear.weight.double(), linear.bias.double())
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            # PyTorch says once that the tensors FBGEMM takes will go, some day; then this fails.
            warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
            ours = body(linear).eval()
            for rows in (1, 7, len(x)):
                y = ours(x[:rows].to(ours.dtype)).double()
                error = float((y - exact[:rows]).norm() / exact[:rows].norm())
                if not error <= TOLERANCES.get(type(ours), 1e-5):
                    return f"is wrong by {error:.1e} of the result"
    except (RuntimeError, AttributeError) as error:
        reason = str(error).splitlines() or [type(error).__name__]
        return f"does not run ({reason[0]})"
    return ""
