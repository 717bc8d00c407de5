"""Quantisation, export and the tag chain, on an encoder of a few KB with random weights."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_agent.inference.heads import TagDecoder
from edge_agent.inference.session import Session
from tools.bundling import pack
from tools.bundling.calibrate import Logits, calibrate
from tools.corpus.annotation import Example, Span
from tools.data import Vocabulary, read_jsonl, split, tag_tokens, vocabulary_of
from tools.errors import ToolError
from tools.export import build
from tools.learning.crf import forbidden, negative_log_likelihood
from tools.trunks.loading import BertEncoder, BertShape, Encoder
from tools.trunks.quantise import choose_scales, dequantised, packed

TINY = {"hidden": 64, "heads": 4, "ffn": 128, "layers": 2, "max_tokens": 32, "vocabulary": 50}


def tiny_encoder(routes: int = 3, labels: int = 2) -> Encoder:
    torch.manual_seed(0)
    encoder = BertEncoder(BertShape(routes, labels, **TINY)).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
    return encoder


def tiny_inputs() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(1, 50, (3, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    return ids, mask


def run(encoder: Encoder, ids: torch.Tensor, mask: torch.Tensor, level: int = 0) -> dict:
    session = Session(build(encoder, level).SerializeToString(), threads=1)
    return session.run({"input_ids": ids.numpy(), "attention_mask": mask.numpy()})


@pytest.mark.parametrize("quantise", [True, False])
def test_the_exported_graph_computes_what_the_trained_model_computes(quantise: bool) -> None:
    encoder, (ids, mask) = tiny_encoder(), tiny_inputs()
    encoder.set_quantise(quantise)
    with torch.no_grad():
        routes, tags = encoder(ids, mask)
    found = run(encoder, ids, mask)
    real = mask.bool().numpy()
    np.testing.assert_allclose(found["route_logits"], routes.numpy(), atol=1e-3)
    np.testing.assert_allclose(found["tag_logits"][real], tags.numpy()[real], atol=1e-3)


def test_int8_arithmetic_moves_logits_a_little_only() -> None:
    encoder, (ids, mask) = tiny_encoder(), tiny_inputs()
    encoder.set_quantise(True)
    exact, fast = run(encoder, ids, mask, 0), run(encoder, ids, mask, 4)
    spread = exact["route_logits"].std()
    np.testing.assert_allclose(fast["route_logits"], exact["route_logits"], atol=0.2 * spread)


def test_padding_changes_nothing() -> None:
    encoder, (ids, mask) = tiny_encoder(), tiny_inputs()
    encoder.set_quantise(True)
    padded = run(encoder, ids, mask)
    alone = run(encoder, ids[1:2, :5], mask[1:2, :5])
    np.testing.assert_allclose(padded["route_logits"][1], alone["route_logits"][0], atol=1e-4)
    np.testing.assert_allclose(padded["tag_logits"][1, :5], alone["tag_logits"][0], atol=1e-4)


@pytest.mark.parametrize(("routes", "labels", "names"), [
    (3, 0, {"route_logits"}), (0, 2, {"tag_logits"}), (3, 2, {"route_logits", "tag_logits"}),
])  # fmt: skip
def test_a_head_with_nothing_to_say_is_absent(routes: int, labels: int, names: set) -> None:
    encoder = tiny_encoder(routes, labels)
    encoder.set_quantise(True)
    assert set(run(encoder, *tiny_inputs())) == names


def test_packed_nibbles_are_the_values_training_sees() -> None:
    weight = torch.randn(5, 64)
    scales = choose_scales(weight)
    blocks = packed(weight, scales)
    low, high = (blocks & 15).float(), (blocks >> 4).float()
    values = torch.stack([low, high], -1).flatten(-2) - 8
    seen = (values * scales.unsqueeze(-1)).flatten(-2)
    torch.testing.assert_close(seen, dequantised(weight, scales))


def test_scales_are_no_worse_than_plain_rounding_and_survive_zeros() -> None:
    weight = torch.randn(8, 64)
    plain = weight.unflatten(-1, (-1, 32)).abs().amax(-1) / 7
    error = (dequantised(weight, choose_scales(weight)) - weight).square().mean()
    assert error < (dequantised(weight, plain) - weight).square().mean()
    zeros = torch.zeros(2, 32)
    assert (dequantised(zeros, choose_scales(zeros)) == 0).all()


def legal_paths(tags: int, steps: int) -> list[tuple[int, ...]]:
    def legal(path: tuple[int, ...]) -> bool:
        pairs = zip((0, *path), path, strict=False)
        return all(b % 2 or b == 0 or a in (b - 1, b) for a, b in pairs)

    return [path for path in itertools.product(range(tags), repeat=steps) if legal(path)]


def test_chain_loss_and_runtime_decoding_agree_with_brute_force() -> None:
    tags, steps = 5, 4
    generator = torch.Generator().manual_seed(3)
    emissions = torch.randn(1, steps, tags, generator=generator)
    transitions = torch.randn(tags, tags, generator=generator) + forbidden(tags)
    scores = {
        path: sum(emissions[0, i, tag].item() for i, tag in enumerate(path))
        + sum(transitions[a, b].item() for a, b in itertools.pairwise(path))
        for path in legal_paths(tags, steps)
    }
    best = max(scores, key=scores.get)
    loss = negative_log_likelihood(
        emissions, transitions, torch.tensor([best]), torch.ones(1, steps, dtype=torch.int64)
    )
    partition = torch.tensor(list(scores.values())).logsumexp(0)
    assert loss.item() == pytest.approx(partition.item() - scores[best], abs=1e-3)
    assert tuple(decoder(transitions).best_path(emissions[0].numpy())) == best


def decoder(transitions: torch.Tensor) -> TagDecoder:
    rows = transitions.tolist()
    vocabulary = Vocabulary((), ("a", "b"))
    contents = pack.Contents("t", "0", b"", Path(), vocabulary, 32, transitions=rows)
    return TagDecoder(pack.manifest(contents, {}))


def test_every_token_of_an_entity_is_tagged() -> None:
    example = Example("pump P-1 leaks", "fault", (Span(0, 8, "asset"), Span(9, 14, "symptom")))
    offsets = [(0, 0), (0, 4), (5, 6), (6, 7), (7, 8), (9, 13), (13, 14), (0, 0)]
    assert tag_tokens(offsets, example, ("asset", "symptom")) == [0, 1, 2, 2, 2, 3, 4, 0]


def test_held_out_messages_stay_held_out_while_the_corpus_grows() -> None:
    old = [Example(f"message {i}", "fault", ()) for i in range(100)]
    new = [Example(f"more {i}", "fault", ()) for i in range(5)]
    train_set, dev = split(old)
    assert len(dev) == 10
    assert not {e.text for e in train_set} & {e.text for e in dev}
    assert len({e.text for e in dev} & {e.text for e in split(old + new)[1]}) >= 8


def test_a_bad_line_of_data_is_named_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    good = {"text": "ok", "route": None, "entities": []}
    bad = {"text": "ok", "route": "x", "entities": [{"start": 1, "end": 9, "label": "y"}]}
    file.write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n", encoding="utf-8")
    with pytest.raises(ToolError, match=r"train\.jsonl:2"):
        read_jsonl(file)


def test_data_without_routes_or_without_entities_gives_a_bundle_without_that_head() -> None:
    routed = [Example("a", "zeta", ()), Example("b", "fault", ())]
    marked = [Example("abc", "", (Span(0, 1, "part"),))]
    assert vocabulary_of(routed) == Vocabulary(("fault", "zeta"), ())
    assert vocabulary_of(marked) == Vocabulary((), ("part",))


def test_calibration_cools_overconfident_logits_and_abstains_where_it_pays() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 400)
    logits = rng.normal(0, 1, (400, 3)).astype(np.float32)
    logits[np.arange(400), targets] += 1.5
    measured = Logits(logits * 4, targets, np.zeros((0, 0), np.float32), np.zeros(0, np.int64))
    vocabulary = Vocabulary(("x", "y", "other"), ())
    found = calibrate(measured, vocabulary, abstain_cost=0.02)
    assert found.temperature > 2
    assert found.tag_temperature == 1.0
    assert 0 < found.abstain_below < 0.95
    assert calibrate(measured, vocabulary, 0.0).abstain_below <= found.abstain_below


@pytest.mark.parametrize("cost", [0.0, 0.01, 0.05])
def test_abstaining_costs_no_more_of_the_known_routes_than_it_may(cost: float) -> None:
    """Strange messages get less sure answers; the threshold refuses most for what is allowed."""
    rng = np.random.default_rng(1)
    targets = np.repeat([0, 1, 2], (200, 200, 60))
    logits = rng.normal(0, 1, (460, 3)).astype(np.float32)
    logits[np.arange(460), np.where(targets == 2, rng.integers(0, 2, 460), targets)] += 1
    logits[np.arange(400), targets[:400]] += 2.5
    measured = Logits(logits, targets, np.zeros((0, 0), np.float32), np.zeros(0, np.int64))
    found = calibrate(measured, Vocabulary(("x", "y", "oos"), ()), cost)
    heat = logits / found.temperature
    probabilities = np.exp(heat) / np.exp(heat).sum(1, keepdims=True)
    answers = np.where(probabilities.max(1) < found.abstain_below, 2, logits.argmax(1))
    known = targets < 2
    lost = (logits.argmax(1) == targets)[known].mean() - (answers == targets)[known].mean()
    assert lost <= cost + 1e-9
    if cost:
        assert (answers[~known] == 2).mean() > (logits.argmax(1)[~known] == 2).mean()
