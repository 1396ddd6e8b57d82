"""Lesson 5."""

import torch
import torch.nn.functional as F

from minibert.encoder import gelu, gelu_tanh
from tests.lessons.wrong import Wrong


def norm(divide, x, weight, bias):
    """x without its mean, divided by what `divide` makes of it."""
    away = x - x.mean(dim=1, keepdim=True)
    return away / divide(away) * weight + bias


def unbiased(x, weight, bias, eps):
    return norm(lambda away: (away.var(dim=1, keepdim=True) + eps).sqrt(), x, weight, bias)


def eps_outside(x, weight, bias, eps):
    return norm(lambda away: (away**2).mean(1, keepdim=True).sqrt() + eps, x, weight, bias)


def std_plus_eps(x, weight, bias, eps):
    return norm(lambda away: away.std(dim=1, keepdim=True) + eps, x, weight, bias)


def own_eps(x, weight, bias, eps):
    return F.layer_norm(x, x.shape[1:], weight, bias, 1e-12)


def pytorchs_eps(x, weight, bias, eps):
    return F.layer_norm(x, x.shape[1:], weight, bias)


def std_without_eps(x, weight, bias, eps):
    return norm(lambda away: away.std(dim=1, keepdim=True), x, weight, bias)


def no_root(x, weight, bias, eps):
    return norm(lambda away: (away**2).mean(1, keepdim=True) + eps, x, weight, bias)


def sum_of_squares(x, weight, bias, eps):
    return norm(lambda away: ((away**2).sum(1, keepdim=True) + eps).sqrt(), x, weight, bias)


def mean_kept(x, weight, bias, eps):
    return x / (x.var(dim=1, correction=0, keepdim=True) + eps).sqrt() * weight + bias


def root_mean_square(x, weight, bias, eps):
    return x / ((x**2).mean(dim=1, keepdim=True) + eps).sqrt() * weight + bias


def squares_of_x(x, weight, bias, eps):
    return norm(lambda _: ((x**2).mean(dim=1, keepdim=True) + eps).sqrt(), x, weight, bias)


def over_tokens(x, weight, bias, eps):
    away = x - x.mean(dim=0)
    return away / ((away**2).mean(dim=0) + eps).sqrt() * weight + bias


def over_all(x, weight, bias, eps):
    away = x - x.mean()
    return away / ((away**2).mean() + eps).sqrt() * weight + bias


def one_variance(x, weight, bias, eps):
    return norm(lambda away: ((away**2).mean() + eps).sqrt(), x, weight, bias)


def one_mean(x, weight, bias, eps):
    away = x - x.mean()
    return away / ((away**2).mean(dim=1, keepdim=True) + eps).sqrt() * weight + bias


def as_by_hand(x, weight, bias, eps):
    away = x - x.mean()
    return away / (away**2).mean().sqrt()


def plain(x, eps):
    return F.layer_norm(x, x.shape[1:], eps=eps)


def no_keepdim(x, weight, bias, eps):
    return (x - x.mean(dim=1)) * weight + bias


def absolute(x, weight, bias, eps):
    return norm(lambda away: away.abs().mean(1, keepdim=True) + eps, x, weight, bias)


def wired(first=None, second=None, act=gelu, returned=None):
    """A layer whose two sums or activation are other than they should be."""

    def answer(x, attention, attention_norm, up, down, feed_forward_norm):
        def network(y):
            return down(act(up(y)))

        half = (first or right_first)(x, attention, attention_norm, feed_forward_norm)
        if returned == "half":
            return half
        return (second or right_second)(half, x, network, attention_norm, feed_forward_norm)

    return answer


def right_first(x, attention, norm_1, norm_2):
    return norm_1(x + attention(x))


def right_second(y, x, network, norm_1, norm_2):
    return norm_2(y + network(y))


pre_ln = wired(
    lambda x, attention, norm_1, norm_2: x + attention(norm_1(x)),
    lambda y, x, network, norm_1, norm_2: y + network(norm_2(y)),
)
norm_of_part = wired(
    lambda x, attention, norm_1, norm_2: x + norm_1(attention(x)),
    lambda y, x, network, norm_1, norm_2: y + norm_2(network(y)),
)
no_first_residual = wired(lambda x, attention, norm_1, norm_2: norm_1(attention(x)))
no_second_residual = wired(None, lambda y, x, network, norm_1, norm_2: norm_2(network(y)))
no_residual = wired(
    lambda x, attention, norm_1, norm_2: norm_1(attention(x)),
    lambda y, x, network, norm_1, norm_2: norm_2(network(y)),
)
first_twice = wired(lambda x, attention, norm_1, norm_2: norm_1(x + x + attention(x)))
second_twice = wired(None, lambda y, x, network, norm_1, norm_2: norm_2(y + y + network(y)))
both_twice = wired(
    lambda x, attention, norm_1, norm_2: norm_1(2 * x + attention(x)),
    lambda y, x, network, norm_1, norm_2: norm_2(2 * y + network(y)),
)
first_x_again = wired(None, lambda y, x, network, norm_1, norm_2: norm_2(x + network(y)))
both_x = wired(None, lambda y, x, network, norm_1, norm_2: norm_2(x + y + network(y)))
network_of_x = wired(None, lambda y, x, network, norm_1, norm_2: norm_2(y + network(x)))
swapped = wired(
    lambda x, attention, norm_1, norm_2: norm_2(x + attention(x)),
    lambda y, x, network, norm_1, norm_2: norm_1(y + network(y)),
)
norm_1_twice = wired(None, lambda y, x, network, norm_1, norm_2: norm_1(y + network(y)))
norm_2_twice = wired(lambda x, attention, norm_1, norm_2: norm_2(x + attention(x)))
no_norm_1 = wired(lambda x, attention, norm_1, norm_2: x + attention(x))
no_norm_2 = wired(None, lambda y, x, network, norm_1, norm_2: y + network(y))
no_norm = wired(
    lambda x, attention, norm_1, norm_2: x + attention(x),
    lambda y, x, network, norm_1, norm_2: y + network(y),
)
gelu_late = wired(
    None, lambda y, x, network, norm_1, norm_2: norm_2(y + gelu(network(y))), lambda y: y
)
gelu_twice = wired(None, lambda y, x, network, norm_1, norm_2: norm_2(y + gelu(network(y))))
attention_twice = wired(lambda x, attention, norm_1, norm_2: norm_1(x + attention(attention(x))))
negative = wired(lambda x, attention, norm_1, norm_2: norm_1(x - attention(x)))
scaled = wired(None, lambda y, x, network, norm_1, norm_2: norm_2(y + network(y)) / 2)


def no_attention(x, attention, attention_norm, up, down, feed_forward_norm):
    x = attention_norm(x)
    return feed_forward_norm(x + down(gelu(up(x))))


PRINTED = [
    r"-1\.0000, -0\.3333, -0\.3333, +1\.6667",
    r"0\.8413 +0\.8413 +0\.8413",
    r"largest difference 0\.0004\d, at 2\.[67]\d",
    r"torch\.Size\(\[6, 2, 10\]\)",
    r"hidden state 3: 8 of 8",
    r"7 hidden states; the last is the result: True",
    r"hidden state 0: .* 1\.000",
    r"after eval\(\): .* 1\.000",
]
WRONG = {
    "layer_norm": [
        Wrong("unbiased variance", unbiased, "the variance is divided by C - 1"),
        Wrong("eps outside the root", eps_outside, "eps is added after the root"),
        Wrong("unbiased, and eps outside", std_plus_eps, "and it should be C; and eps belongs"),
        Wrong("an eps of one's own, 1e-12", own_eps, "eps changes nothing; add it"),
        Wrong("PyTorch's eps", pytorchs_eps, "eps changes nothing; add it"),
        Wrong("unbiased, without eps", std_without_eps, "eps changes nothing, and the variance"),
        Wrong("no root", no_root, "the root is missing"),
        Wrong("sum of the squares", sum_of_squares, "the squares are added up"),
        Wrong("mean not subtracted", mean_kept, "only the variance knows it"),
        Wrong("root mean square", root_mean_square, "neither from the numbers nor"),
        Wrong("squares of x", squares_of_x, "not before they are squared"),
        Wrong("over the tokens", over_tokens, "normalised over the tokens"),
        Wrong("over all tokens at once", over_all, "for all tokens together"),
        Wrong("one variance for all tokens", one_variance, "there is one variance for all"),
        Wrong("one mean for all tokens", one_mean, "the mean that is subtracted is that of all"),
        Wrong(
            "the lesson's cell as it is",
            as_by_hand,
            "more than one thing: there is one mean and one",
        ),
        Wrong("no scale and shift", lambda x, w, b, eps: plain(x, eps), "the scale and the shift"),
        Wrong("no shift", lambda x, w, b, eps: plain(x, eps) * w, "the shift is missing"),
        Wrong("no scale", lambda x, w, b, eps: plain(x, eps) + b, "the scale is missing"),
        Wrong("changed places", lambda x, w, b, eps: plain(x, eps) * b + w, "changed places"),
        Wrong("shift before scale", lambda x, w, b, eps: (plain(x, eps) + b) * w, "multiply first"),
        Wrong("scale too early", lambda x, w, b, eps: plain(x * w + b, eps), "come too early"),
        Wrong(
            "not divided",
            lambda x, w, b, eps: norm(torch.ones_like, x, w, b),
            "only the mean is subtracted",
        ),
        Wrong("no keepdim", no_keepdim, "keepdim"),
        Wrong("mean of the absolute differences", absolute, "try that first"),
    ],
    "layer": [
        Wrong("pre-LN", pre_ln, "this is pre-LN"),
        Wrong("LayerNorm of the part alone", norm_of_part, "before the sum; it comes after"),
        Wrong("no residual of attention", no_first_residual, "connection of attention is missing"),
        Wrong("no residual of feed-forward", no_second_residual, "of feed-forward is missing: add"),
        Wrong("no residual at all", no_residual, "no part has its residual"),
        Wrong("residual twice, attention", first_twice, "goes into attention is added twice"),
        Wrong("residual twice, feed-forward", second_twice, "into feed-forward is added twice"),
        Wrong("residual twice, both", both_twice, "into each part is added twice"),
        Wrong("the layer's x in the second sum", first_x_again, "takes the x that the layer was"),
        Wrong("both in the second sum", both_x, "both are added in the second sum"),
        Wrong("feed-forward of the layer's x", network_of_x, "`up` is given the x of the layer"),
        Wrong("norms swapped", swapped, "the LayerNorms have changed places"),
        Wrong("the first norm twice", norm_1_twice, "attention_norm is used twice"),
        Wrong("the second norm twice", norm_2_twice, "feed_forward_norm is used twice"),
        Wrong("no first norm", no_norm_1, "the first LayerNorm is missing"),
        Wrong("no second norm", no_norm_2, "the second LayerNorm is missing"),
        Wrong("no norm", no_norm, "both LayerNorms are missing"),
        Wrong("tanh GELU", wired(act=gelu_tanh), "the GELU by tanh"),
        Wrong("ReLU", wired(act=torch.relu), "this has ReLU"),
        Wrong("no GELU", wired(act=lambda y: y), "GELU is missing"),
        Wrong("GELU after down", gelu_late, "GELU comes after `down`"),
        Wrong("GELU twice", gelu_twice, "one GELU too many"),
        Wrong("the first half", wired(returned="half"), "the first half"),
        Wrong("no attention", no_attention, "attention is missing"),
        Wrong("attention twice", attention_twice, "`attention` is called 2 times"),
        Wrong("subtracted", negative, "`attention_norm` is the first part"),
        Wrong("another activation", wired(act=torch.tanh), "`down` is the first part"),
        Wrong("the result halved", scaled, "look at what you return"),
    ],
}
