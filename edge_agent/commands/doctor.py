"""Examines configuration, installation, model, machine and broker; says how to mend them."""

from __future__ import annotations

import argparse
import json
import sys
import traceback

from edge_agent.commands import serve

EXIT_CODES = (
    "Exit codes: 0 in order (warnings allowed), 1 errors (with --strict: or warnings), "
    "78 the configuration cannot be used, 70 doctor itself failed."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    serve.arguments(parser)
    add = parser.add_argument
    add("--only", nargs="+", type=_pattern, default=[], metavar="ID", help="id, group or glob")
    add("--skip", nargs="+", type=_pattern, default=[], metavar="ID", help="leave these out")
    add("--list", action="store_true", help="list the checks, run none")
    add("--probe", action="store_true", help="also send messages to the broker")
    add("--strict", action="store_true", help="warnings are errors")
    add("--json", action="store_true", help="the report as JSON")
    add("--verbose", action="store_true", help="show causes and readings")
    parser.epilog = f"{EXIT_CODES} {serve.SETTINGS_AS_FLAGS}"


def run(options: argparse.Namespace) -> int:
    """The exit code says how it stands."""
    from edge_agent.doctor.examine import attempt  # noqa: PLC0415 - other commands start faster
    from edge_agent.doctor.report import EXIT_DOCTOR_FAILED  # noqa: PLC0415

    done = attempt(lambda: _examine(options))
    if isinstance(done.raised, BrokenPipeError):
        raise done.raised
    if done.raised is not None:
        trace = "".join(traceback.format_exception(done.raised))
        print(f"{trace}edge-agent: doctor itself failed; report this", file=sys.stderr)
        return EXIT_DOCTOR_FAILED
    return done.value or 0


def _examine(options: argparse.Namespace) -> int:
    from edge_agent.doctor.advice import next_command  # noqa: PLC0415
    from edge_agent.doctor.examine import examine  # noqa: PLC0415
    from edge_agent.doctor.patient import Patient  # noqa: PLC0415
    from edge_agent.doctor.report import report_data  # noqa: PLC0415
    from edge_agent.doctor.screen import draw, draw_list, environment_style  # noqa: PLC0415
    from edge_agent.doctor.table import selected  # noqa: PLC0415

    checks = selected(options.only, options.skip)
    style = environment_style(sys.stdout, verbose=options.verbose)
    if options.list:
        sys.stdout.write(draw_list(checks, style))
        return 0
    patient = Patient(options.config, tuple(options.settings), probe=options.probe)
    report = examine(checks, patient)
    if options.json:
        print(json.dumps(report_data(report), indent=2))
    else:
        sys.stdout.write(draw(report, style, next_command(report, patient)))
    return report.exit_code(strict=options.strict)


def _pattern(text: str) -> str:
    """Something that names checks. ArgumentTypeError with a suggestion when it names none."""
    from edge_agent.doctor.table import matching, suggestion  # noqa: PLC0415

    if not matching(text):
        raise argparse.ArgumentTypeError(f"no check {text!r}; {suggestion(text)}")
    return text
