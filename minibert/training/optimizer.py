"""AdamW and the learning rate's rise and fall.

The recipe of BERT fine-tuning: Devlin et al. 2019, appendix A.3, with the bias correction that the
reference code left out and whose absence makes small data sets fail at random (Mosbach et al. 2021,
arXiv 2006.04884; Zhang et al. 2021, arXiv 2006.05987).
"""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


def make_optimizer(model: nn.Module, lr: float, weight_decay: float) -> AdamW:
    """PyTorch's AdamW over all trainable parameters.

    Biases and LayerNorm are not decayed: they have one dimension, and there is no reason to pull an
    offset or a scale towards zero.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim == 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=1e-8, fused=True)


def warmup_linear(optimizer: AdamW, steps: int, warmup: float) -> LambdaLR:
    """Raise the rate from zero over the first `warmup` share of the steps, then lower it to zero.

    Adam's estimates rest on few gradients at first, and large steps then do lasting damage. With
    warmup_steps = W the rate of step s, counted from 0, is lr * s / W, then
    lr * (steps - s) / (steps - W).
    """
    warmup_steps = round(steps * warmup)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return step / warmup_steps
        return max(0.0, (steps - step) / max(1, steps - warmup_steps))

    return LambdaLR(optimizer, factor)
