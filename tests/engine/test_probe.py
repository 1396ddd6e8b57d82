"""A body that is wrong, or does not run here, is found out, named and not used."""

import pickle

import pytest
import torch
import torch.nn.functional as F

import minibert
from minibert import optimize
from minibert.engine import probe as probe_module
from minibert.engine import rule
from minibert.engine.bodies import Body, OneDnnTiles, Plain
from minibert.engine.integers import Int7, Int7Few, Int8
from minibert.engine.probe import probe
from minibert.engine.rule import Choice, body_for
from tests.conftest import TINY
from tests.engine.conftest import CPU, made


class Kept(Body):
    """A body whose product is right, for others to spoil."""

    packed = ("kept",)

    def pack(self, weight):
        self.kept = weight.float().clone()

    def unpack(self):
        return self.kept

    def multiply(self, x):
        return F.linear(x, self.kept, self.bias)


class OnePercentOff(Kept):
    def multiply(self, x):
        return super().multiply(x) * 1.01


class NotANumber(Kept):
    def multiply(self, x):
        return super().multiply(x) * float("nan")


class WrongBeyondATile(Kept):
    def multiply(self, x):
        y = super().multiply(x)
        y[OneDnnTiles.TILE :] += 1
        return y


class Unsupported(Kept):
    def multiply(self, x):
        raise RuntimeError("could not create a primitive\n(and many more lines)")


class Wordless(Kept):
    def multiply(self, x):
        raise RuntimeError


class Unwritten(Body):
    """`Body` itself raises NotImplementedError."""


class NoSuchOperator(Kept):
    def pack(self, weight):
        torch.ops.mkldnn.an_operator_of_tomorrow(weight)


@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_a_right_body_is_used_without_a_word(monkeypatch, recwarn, kind):
    monkeypatch.setattr(rule, "choose", lambda *_: Choice(Kept))
    assert body_for(kind, CPU) is Kept
    assert not recwarn.list


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (OnePercentOff, "is wrong by 1.0e-02"),
        (NotANumber, "is wrong by nan"),
        (WrongBeyondATile, "is wrong by"),
        (Unsupported, r"does not run \(could not create a primitive\)"),
        (Wordless, "does not run"),
        (Unwritten, "does not run"),
        (NoSuchOperator, "does not run.*an_operator_of_tomorrow"),
    ],
)
def test_a_body_that_fails_its_probe_is_named_and_not_used(monkeypatch, spoilt, message):
    monkeypatch.setattr(rule, "choose", lambda *_: Choice(spoilt))
    with pytest.warns(UserWarning, match=f"^{spoilt.__name__} {message}.*plain fp32") as caught:
        assert body_for("fp32", CPU) is Plain
    assert len(caught) == 1


def test_what_is_used_instead_is_said_where_optimize_was_called(monkeypatch):
    monkeypatch.setattr(rule, "choose", lambda *_: Choice(Plain, "something else is used"))
    with pytest.warns(UserWarning, match="something else is used") as caught:
        optimize(minibert.BertModel(minibert.BertConfig(**TINY)), "bf16")
    assert [warning.filename for warning in caught] == [__file__]


def test_without_vnni_the_probe_sees_sums_clipped_at_16_bits():
    features = rule.cpu_features()
    if "onednn int8" not in features or "vnni" in features:
        pytest.skip("needs oneDNN's int8 on an x86 CPU without VNNI")
    assert "is wrong by" in probe(Int8)
    assert not probe(Int7) and not probe(Int7Few)


def test_what_another_machine_packed_is_refused(monkeypatch, linear):
    packed = pickle.dumps(made(OneDnnTiles, linear))
    monkeypatch.setitem(probe_module._FAILURES, OneDnnTiles, "does not run (no oneDNN)")
    with pytest.raises(RuntimeError, match="OneDnnTiles does not run .* optimize that here"):
        pickle.loads(packed)
