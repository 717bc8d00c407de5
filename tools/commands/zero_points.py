"""``zero-points``: mends a bundle made without zero points, so that Arm agrees with x86-64.

On x86-64 and on Arm cores without int8 dot products it answers as before, to the last bit.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tools.errors import ToolError

if TYPE_CHECKING:
    from edge_agent.bundle import Bundle


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder, rewritten in place")


def run(options: argparse.Namespace) -> int:
    """0 when the bundle has them and answers its golden messages. ToolError, BundleError."""
    from edge_agent.bundle import load_bundle  # noqa: PLC0415
    from edge_agent.golden import proof  # noqa: PLC0415

    count = rewrite(load_bundle(options.bundle))
    proved = proof(load_bundle(options.bundle))
    print(f"{options.bundle}: zero points added to {count} products; {proved}")
    return 0


def rewrite(bundle: Bundle) -> int:
    """Adds them to the model on disk; to how many products. Raises ToolError."""
    import onnx  # noqa: PLC0415

    from edge_agent.manifest import MODEL  # noqa: PLC0415
    from tools.bundling.pack import replace_file  # noqa: PLC0415
    from tools.export.zero_points import write_out  # noqa: PLC0415

    if bundle.manifest.kind != "encoder" or bundle.signature is not None:
        raise ToolError(
            f"{bundle.path} is signed, or no encoder",
            "give the unsigned folder of an encoder; sign it when you pack it again",
        )
    model = onnx.load_from_string(bundle.contents[MODEL])
    count = write_out(model)
    if count:
        replace_file(bundle, MODEL, model.SerializeToString())
    return count
