"""Specialists: texts to predictions. Knows nothing of MQTT, clocks or queues."""

from __future__ import annotations

import os
from typing import Protocol

from edge_agent.answers import reference_mix
from edge_agent.bundle import Bundle, check_kind
from edge_agent.errors import BundleError, InferenceFailed
from edge_agent.inference.encode import Encoding, pad
from edge_agent.inference.finite import require_finite
from edge_agent.inference.grouping import by_length
from edge_agent.inference.heads import Floats, TagDecoder, decode_route
from edge_agent.inference.pair_encoder import text_encoder
from edge_agent.inference.session import Session
from edge_agent.manifest import MODEL, TOKENIZER, Manifest
from edge_agent.types import Entity, ModelCard, Prediction

PACK_AGAIN = "pack the bundle again: its parts do not belong together"
INPUTS = {"input_ids", "attention_mask"}


class Specialist(Protocol):
    """What answers messages. ``card`` names its bundle, ``reference`` counts its routes on dev."""

    card: ModelCard
    reference: dict[str, int]

    def predict(self, texts: list[str]) -> list[Prediction]:
        """One prediction a text, in order. Raises InferenceFailed."""


class EncoderSpecialist:
    """A joint encoder: one forward pass gives the route and the entity tags of each text."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.card: ModelCard = bundle.card
        self.manifest: Manifest = bundle.manifest
        self.reference = reference_mix(bundle.manifest.provenance)
        with bundle.named():
            self._encoder = text_encoder(bundle.contents[TOKENIZER], bundle.manifest.max_tokens)
            self._session = Session(bundle.contents[MODEL], threads)
        self._tags = TagDecoder(bundle.manifest)
        self._check_outputs(bundle)

    @property
    def runtime(self) -> str:
        """What runs the model, for people."""
        return self._session.runtime

    def predict(self, texts: list[str]) -> list[Prediction]:
        """One prediction a text, in order. Long and short texts run apart to save padding."""
        encodings = [self._encoder.encode(text) for text in texts]
        predictions: dict[int, Prediction] = {}
        for group in by_length([len(encoding) for encoding in encodings]):
            ids, mask = pad([encodings[i] for i in group])
            outputs = self._session.run({"input_ids": ids, "attention_mask": mask})
            require_finite(*outputs.values())
            for row, i in enumerate(group):
                logits = {name: output[row] for name, output in outputs.items()}
                predictions[i] = self._decode(logits, encodings[i], texts[i])
        return [predictions[i] for i in range(len(texts))]

    def _decode(self, logits: dict[str, Floats], encoding: Encoding, text: str) -> Prediction:
        route = None
        entities: tuple[Entity, ...] = ()
        if self.manifest.routes:
            route = decode_route(logits["route_logits"], self.manifest)
        if self.manifest.labels:
            tag_logits = logits["tag_logits"][: len(encoding)]
            entities = self._tags.entities(tag_logits, encoding.offsets, text)
        tokens, unknown = encoding.text_tokens, encoding.unknown_tokens
        return Prediction(route, entities, encoding.truncated, tokens, unknown)

    def _check_outputs(self, bundle: Bundle) -> None:
        """Runs one text, which also warms the session, and compares shapes with the manifest."""
        if self._session.inputs != INPUTS:
            raise BundleError(
                f"bundle {bundle.path}: the model reads {', '.join(sorted(self._session.inputs))}, "
                f"not {' and '.join(sorted(INPUTS))}",
                PACK_AGAIN,
            )
        ids, mask = pad([self._encoder.encode("start")])
        try:
            outputs = self._session.run({"input_ids": ids, "attention_mask": mask})
        except InferenceFailed as error:
            raise BundleError(f"bundle {bundle.path}: {error.problem}", PACK_AGAIN) from error
        expected: dict[str, tuple[int, ...]] = {}
        if self.manifest.routes:
            expected["route_logits"] = (1, len(self.manifest.routes))
        if self.manifest.labels:
            expected["tag_logits"] = (*ids.shape, 1 + 2 * len(self.manifest.labels))
        for name, shape in expected.items():
            found = outputs[name].shape if name in outputs else None
            if found != shape:
                raise BundleError(
                    f"bundle {bundle.path}: output {name} has shape {found}, "
                    f"the manifest's routes and labels ask for {shape}",
                    PACK_AGAIN,
                )


def default_threads() -> int:
    """Half of the cores this process may use, at least one: the other half carries the messages."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def load_specialist(bundle: Bundle, threads: int | None = None) -> EncoderSpecialist:
    """The specialist of a verified bundle. ``threads`` defaults to half of the cores."""
    check_kind(bundle, "encoder")
    return EncoderSpecialist(bundle, threads or default_threads())
