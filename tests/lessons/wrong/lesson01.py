"""Lesson 1."""

from tests.lessons.wrong import Wrong


def layer(attention=4, square_bias=1, up_bias=1, down_bias=1, norms=2, norm=2):
    """A count of one layer with something of it left out."""

    def answer(hidden, intermediate):
        squares = attention * (hidden * hidden + square_bias * hidden)
        up = hidden * intermediate + up_bias * intermediate
        down = intermediate * hidden + down_bias * hidden
        return squares + up + down + norms * norm * hidden

    return answer


right = layer()


def one_way(hidden, intermediate):
    return right(hidden, intermediate) - intermediate * hidden - hidden


def kept(weight=4, trained=12):
    """Bytes for each weight, and for each that is trained."""
    return lambda parameters, of_these: weight * parameters + trained * of_these


PRINTED = [
    r"22,665,216 \+ 12 x 7,087,872 \+ 590,592 = 108,310,272",
    r"the library counts as many: True",
    r"433,241,088 bytes = 433 MB = 413 MiB",
    r"387,669,504, 3\.579 times",
    r"bert-base-cased  433 MB, GPT-3  698 GB",
    r"22,713,216 numbers, 90,852,864 bytes",
    r"bert-large-cased +333,579,264",
]
WRONG = {
    "layer_parameters": [
        Wrong(
            "matrices alone, 7,077,888",
            layer(square_bias=0, up_bias=0, down_bias=0, norms=0),
            "the matrices alone",
        ),
        Wrong("no biases", layer(square_bias=0, up_bias=0, down_bias=0), "the biases are missing"),
        Wrong(
            "no biases in attention", layer(square_bias=0), "either attention's biases are missing"
        ),
        Wrong("query, key and value counted once", layer(attention=2), "two matrices of attention"),
        Wrong("no output projection", layer(attention=3), "comes output"),
        Wrong("one matrix of attention", layer(attention=1), "three matrices of attention"),
        Wrong("one LayerNorm", layer(norms=1), "two LayerNorms, each with a scale"),
        Wrong("LayerNorm without shift", layer(norm=1), "a scale and a shift"),
        Wrong("no LayerNorm", layer(norms=0), "or the LayerNorms"),
        Wrong("feed-forward only up", one_way, "leads down again"),
        Wrong(
            "both biases of feed-forward as wide as hidden",
            lambda hidden, intermediate: right(hidden, intermediate) - intermediate + hidden,
            "has intermediate results",
        ),
        Wrong("a constant", lambda hidden, intermediate: 7_087_872, "the same whatever the sizes"),
        Wrong("4 C for I", lambda hidden, intermediate: right(hidden, 4 * hidden), "need not be"),
        Wrong("changed places", lambda hidden, intermediate: right(intermediate, hidden), "places"),
        Wrong("bytes", lambda *sizes: 4 * right(*sizes), "these are bytes"),
    ],
    "training_bytes": [
        Wrong("weights alone, 4", kept(4, 0), "the weights alone"),
        Wrong("no moments, 8", kept(4, 4), "where are the moments"),
        Wrong("one moment, or no gradients, 12", kept(4, 8), "one is missing"),
        Wrong("frozen as if trained", kept(16, 0), "as if they were trained"),
        Wrong("frozen left out", kept(0, 16), "they are in memory too"),
        Wrong("frozen with gradients", kept(8, 8), "it has no gradient"),
        Wrong("frozen with moments", kept(12, 4), "it has no moments"),
        Wrong("trained counted twice", kept(4, 16), "count each once"),
        Wrong("in MB", lambda *given: kept()(*given) / 1e6, "this is in MB"),
        Wrong("in MiB", lambda *given: kept()(*given) / 2**20, "in MiB"),
        Wrong("in bits", lambda *given: 8 * kept()(*given), "this is in bits"),
    ],
}
