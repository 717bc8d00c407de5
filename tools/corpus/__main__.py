"""``python -m tools.corpus``: checks the hand-written messages and counts them."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tools.corpus.annotation import read_messages


def main() -> int:
    try:
        examples = read_messages(Path(__file__).parent / "messages")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    routes = Counter(example.route for example in examples)
    labels = Counter(span.label for example in examples for span in example.entities)
    print(f"{len(examples)} messages")
    for title, counts in (("route", routes), ("entity", labels)):
        print(f"{title}: " + ", ".join(f"{name} {n}" for name, n in counts.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
