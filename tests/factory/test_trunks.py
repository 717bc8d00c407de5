"""Trunks of either kind: torch and the exported graph against transformers and each other."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import BertModel, Gemma3TextModel

from edge_agent.inference.session import Session
from tests.support import tiny_bases
from tests.support.tiny_bases import MAKERS, edit, inputs, loaded
from tools.bases.base import open_base
from tools.export import build
from tools.trunks.loading import Encoder, load_encoder

both = pytest.mark.parametrize("kind", MAKERS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One base of each kind, to be read only."""
    root = tmp_path_factory.mktemp("bases")
    return {kind: maker(root / kind) for kind, maker in MAKERS.items()}


def assert_states_equal(folder: Path, model: type) -> None:
    """The trunk's last states are those of transformers, at every real token."""
    assert_encoder_equals(loaded(folder), folder, model, inputs())


def assert_encoder_equals(
    encoder: Encoder, folder: Path, model: type, batch: tuple[Tensor, Tensor]
) -> None:
    ids, mask = batch
    reference = model.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = reference(ids, attention_mask=mask).last_hidden_state
        found, _ = encoder.states(ids, mask)
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], atol=1e-4, rtol=0)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_a_bert_computes_what_transformers_computes(tmp_path: Path, activation: str) -> None:
    assert_states_equal(tiny_bases.tiny_bert(tmp_path, hidden_act=activation), BertModel)


@pytest.mark.parametrize("window", [512, 6])
def test_a_gemma_computes_what_transformers_computes(tmp_path: Path, window: int) -> None:
    assert_states_equal(tiny_bases.tiny_gemma3(tmp_path, sliding_window=window), Gemma3TextModel)


def test_a_gemma_is_right_beyond_the_reach_of_its_sliding_layers(tmp_path: Path) -> None:
    """Looking both ways a window of 512 reaches 256 tokens: 600 of them, some rows padded."""
    folder = tiny_bases.tiny_gemma3(tmp_path, sliding_window=512, max_position_embeddings=1024)
    encoder = load_encoder(open_base(folder), routes=3, labels=2, max_tokens=640).eval()
    ids = torch.randint(5, 400, (3, 600), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(ids)
    mask[1, 300:], mask[2, 599:] = 0, 0
    assert encoder.shape.window == 257
    assert_encoder_equals(encoder, folder, Gemma3TextModel, (ids, mask))
    assert_graph_equals(encoder, ids, mask)


@pytest.mark.parametrize("rope_type", ["default", "linear"])
def test_a_config_of_transformers_4_means_what_that_of_5_means(
    tmp_path: Path, rope_type: str
) -> None:
    """Thetas, scaling and kinds of layers move to other keys, and nothing changes."""
    full = {"rope_type": rope_type, "rope_theta": 500.0, "factor": 4.0}
    sliding = {"rope_type": "default", "rope_theta": 90.0}
    ropes = {"full_attention": full, "sliding_attention": sliding}
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    folder = tiny_bases.tiny_gemma3(tmp_path, rope_parameters=ropes, layer_types=kinds)
    assert_states_equal(folder, Gemma3TextModel)
    ids, mask = inputs()
    new = loaded(folder).states(ids, mask)[0]
    edit(folder, rope_parameters=None, layer_types=None, sliding_window_pattern=2,
         rope_theta=500.0, rope_local_base_freq=90.0,
         rope_scaling={"rope_type": rope_type, "factor": 4.0})  # fmt: skip
    torch.testing.assert_close(loaded(folder).states(ids, mask)[0], new, atol=0, rtol=0)


@both
@pytest.mark.parametrize("quantise", [True, False])
def test_the_graph_computes_what_the_trunk_computes(
    folders: dict[str, Path], kind: str, quantise: bool
) -> None:
    encoder, (ids, mask) = loaded(folders[kind]), inputs()
    encoder.set_quantise(quantise)
    assert_graph_equals(encoder, ids, mask)


def run(encoder: Encoder, ids: Tensor, mask: Tensor) -> dict[str, np.ndarray]:
    session = Session(build(encoder, accuracy_level=0).SerializeToString(), threads=1)
    assert session.inputs == {"input_ids", "attention_mask"}
    return session.run({"input_ids": ids.numpy(), "attention_mask": mask.numpy()})


def assert_graph_equals(encoder: Encoder, ids: Tensor, mask: Tensor) -> None:
    with torch.no_grad():
        routes, tags = encoder(ids, mask)
    found, real = run(encoder, ids, mask), mask.bool().numpy()
    np.testing.assert_allclose(found["route_logits"], routes.numpy(), atol=1e-3)
    np.testing.assert_allclose(found["tag_logits"][real], tags.numpy()[real], atol=1e-3)


@pytest.mark.parametrize(("activation", "op"), [("gelu", "BiasGelu"), ("gelu_new", "FastGelu")])
def test_the_graph_has_the_activation_of_the_base(tmp_path: Path, activation: str, op: str) -> None:
    encoder = loaded(tiny_bases.tiny_bert(tmp_path, hidden_act=activation))
    gelus = [node.op_type for node in build(encoder).graph.node if "Gelu" in node.op_type]
    assert gelus == [op] * len(encoder.layers)
    assert_graph_equals(encoder, *inputs())


def test_the_graph_has_the_window_of_sliding_layers(tmp_path: Path) -> None:
    assert_graph_equals(loaded(tiny_bases.tiny_gemma3(tmp_path, sliding_window=6)), *inputs())


@both
def test_padding_changes_nothing(folders: dict[str, Path], kind: str) -> None:
    encoder, (ids, mask) = loaded(folders[kind]), inputs()
    encoder.set_quantise(True)
    padded, alone = run(encoder, ids, mask), run(encoder, ids[1:2, :5], mask[1:2, :5])
    np.testing.assert_allclose(padded["route_logits"][1], alone["route_logits"][0], atol=1e-4)
    np.testing.assert_allclose(padded["tag_logits"][1, :5], alone["tag_logits"][0], atol=1e-4)


@both
def test_every_product_and_the_word_table_are_four_bits(
    folders: dict[str, Path], kind: str
) -> None:
    """Matrices left as floats are the heads and what turns or places positions."""
    encoder = loaded(folders[kind])
    encoder.set_quantise(True)
    model = build(encoder)
    floats = [c for c in model.graph.initializer if c.data_type == 1 and len(c.dims) > 1]
    scales = {n.input[2] for n in model.graph.node if n.op_type.startswith(("MatMulN", "GatherB"))}
    assert len(scales) == 1 + 4 * len(encoder.layers)
    left = {c.name for c in floats} - scales
    positions = {f"{k}_attention.{f}" for k in ("full", "sliding") for f in ("cos", "sin")}
    assert left == {"route_logits.w", "tag_logits.w"} | (
        positions if kind == "gemma3" else {"positions"}
    )


@both
def test_training_fewer_rows_of_the_word_table_ends_where_training_all_ends(
    folders: dict[str, Path], kind: str
) -> None:
    ids, mask = inputs()
    wide, narrow = loaded(folders[kind]), loaded(folders[kind])
    before = wide.words.weight.detach().clone()
    narrow.words.narrow(ids.flatten())
    assert len(narrow.words.weight) == len(ids.unique())
    for encoder in (wide, narrow):
        steps(encoder, ids, mask)
    narrow.words.widen()
    assert not torch.equal(wide.words.weight, before)
    for name, parameter in wide.named_parameters():
        torch.testing.assert_close(narrow.get_parameter(name), parameter, msg=name)


def steps(encoder: Encoder, ids: Tensor, mask: Tensor) -> None:
    """Three steps with quantisation in the loop."""
    encoder.set_quantise(True)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(3):
        routes, tags = encoder(ids, mask)
        optimiser.zero_grad()
        (routes.square().sum() + tags.square().sum()).backward()
        optimiser.step()
        encoder.refresh()


def test_a_narrow_table_refuses_ids_it_lacks_and_shares_the_whole_with_copies(
    folders: dict[str, Path],
) -> None:
    encoder = loaded(folders["bert"])
    encoder.words.narrow(torch.tensor([5, 6]))
    assert copy.deepcopy(encoder).words.whole is encoder.words.whole
    with pytest.raises(IndexError):
        encoder.words(torch.tensor([[5, 7]]))
    with pytest.raises(ValueError, match="widen"):
        build(encoder)
