"""Prints what the default bundle's model says about each golden message: raw, as JSON.

Run by the Python that has edge_agent, here and in the machine: `python -I logits.py`.
"""

import json
import sys

from edge_agent.bundle import load_bundle
from edge_agent.inference.encode import TextEncoder, pad
from edge_agent.inference.session import Session
from edge_agent.settings import default_bundle


def main() -> None:
    bundle = load_bundle(default_bundle())
    encoder = TextEncoder(bundle.contents["tokenizer.json"], bundle.manifest.max_tokens)
    session = Session(bundle.contents["model.onnx"], threads=1)
    lines = bundle.contents["golden.jsonl"].decode().splitlines()
    found = []
    for text in (json.loads(line)["text"] for line in lines):
        encoding = encoder.encode(text)
        ids, mask = pad([encoding])
        outputs = session.run({"input_ids": ids, "attention_mask": mask})
        logits = {name: output[0].tolist() for name, output in outputs.items()}
        found.append({"text": text, "tokens": len(encoding), **logits})
    json.dump(found, sys.stdout)


main()
