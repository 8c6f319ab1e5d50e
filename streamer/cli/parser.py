"""The argument parser with all commands; handlers are imported when they are needed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from engines.model_names import MODEL_NAMES
from streamer.cli.parser_engine import add_engine
from streamer.cli.parser_keys import (
    add_key_commands,
    add_key_log_options,
    add_recovery_options,
    add_unlock_options,
)
from streamer.cli.parser_live import add_live_options
from streamer.cli.parser_run import add_run_commands
from streamer.cli.parser_watch import add_watch_options

__all__ = ["build_parser"]

_EXIT_CODES = """\
exit codes:
  0    done
  1    doctor: the main job cannot run here
  2    usage, configuration or password source
  3    the video cannot be read or written
  4    a network or its back end failed
  5    a face could not be covered, so nothing was written
  6    the key log cannot be read or written, or was changed; inspect --verify: the
       video is not wholly the log's
  7    the password does not open the key log
  8    done, but the input was damaged or ended early (see the warnings)
  130  interrupted; what was written is complete and playable
"""


def _handler(module: str) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        return int(import_module(f"streamer.cli.{module}").run(args))

    return run


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=_handler(name.replace("-", "_")))
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="end with one JSON line on stdout")
    parser.add_argument("--quiet", action="store_true", help="no progress, only warnings")


def _add_password(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="F",
        help="file that holds the password (one trailing newline is ignored); "
        "without it the password is asked for on the terminal",
    )


def _add_anonymize(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(commands, "anonymize", "replace every face of a video")
    parser.add_argument("source", metavar="SRC", help="video file, or the URL of a camera")
    parser.add_argument(
        "--out",
        required=True,
        action="append",
        metavar="DST",
        help=".mp4, .mkv or .ts; for cameras also rtsp://, rtmp:// or udp://, and several",
    )
    parser.add_argument(
        "--keylog", type=Path, metavar="FILE", help="key log (default: DST with .vskl added)"
    )
    _add_password(parser)
    parser.add_argument(
        "--config", type=Path, metavar="YAML", help="a file, or default, archive, max-privacy ..."
    )
    angle = parser.add_mutually_exclusive_group()
    angle.add_argument("--level", type=int, choices=range(10), metavar="0..9", help="privacy level")
    angle.add_argument("--angle-deg", type=float, metavar="X", help="rotation angle, 0 < X <= 180")
    parser.add_argument(
        "--rotation", choices=("orthogonal", "reference"), help="kind of keyed rotation"
    )
    parser.add_argument(
        "--seal",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="keep the original face regions, encrypted, in the key log",
    )
    parser.add_argument(
        "--irreversible", action="store_true", help="write no key log and throw the keys away"
    )
    add_key_log_options(parser)
    parser.add_argument(
        "--fps", type=float, metavar="X", help="rate of sources without time stamps"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing output files")
    add_live_options(parser)
    add_watch_options(parser)
    add_engine(parser)
    _add_common(parser)


def _add_recover(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(commands, "recover", "bring original faces back with the password")
    parser.add_argument("source", type=Path, metavar="SRC", help="anonymised video")
    parser.add_argument("--keylog", required=True, type=Path, metavar="FILE", help="its key log")
    parser.add_argument("--out", type=Path, metavar="DST", help=".mp4, .mkv or .ts")
    parser.add_argument(
        "--mode",
        choices=("auto", "sealed", "assisted", "generative"),
        default="auto",
        help="auto takes the best that the log allows",
    )
    parser.add_argument(
        "--track", type=int, action="append", metavar="ID", help="only this track; may be repeated"
    )
    add_recovery_options(parser)
    parser.add_argument(
        "--force",
        action="store_true",
        help="go on with a wrong password: faces are found anew and come out as other people",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output file")
    add_engine(parser)
    _add_common(parser)


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(commands, "export", "verify and convert the networks (needs onnx)")
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    verify = actions.add_parser(
        "verify",
        help="compare every way to run the networks",
        description="Run each network in every way there is and compare with ONNX Runtime on the "
        "CPU; exit code 4 if something is out of tolerance.",
    )
    verify.add_argument("--run", action="append", metavar="NAME", help="only this way; repeatable")
    convert = actions.add_parser(
        "convert",
        help="write a network that computes in float16 or INT8",
        description="Write NAME-PRECISION.onnx and its manifest.",
    )
    convert.add_argument("precision", choices=("fp16", "int8", "int8-tensorrt"))
    convert.add_argument(
        "--calibrate", type=Path, metavar="FOLDER",
        help="face pictures that INT8 is calibrated on (default: the portraits of the demo)",
    )  # fmt: skip
    parts = actions.add_parser(
        "parts",
        help="write E_attr and G of the generator as two files",
        description="Write generator-attributes.onnx and generator-synthesis.onnx.",
    )
    parts.add_argument("--json", action="store_true", help="one JSON line instead of text")
    parts.set_defaults(model=["generator"])
    for writing in (convert, parts):
        writing.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to")
    for action in (verify, convert):
        action.add_argument(
            "--model", action="append",
            choices=MODEL_NAMES,
            help="only this network; repeatable",
        )  # fmt: skip
        action.add_argument("--json", action="store_true", help="one JSON line instead of text")


def _add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_command(commands, "bench", "measure the networks on this machine")
    parser.add_argument(
        "--provider", action="append", choices=("cpu", "cuda", "openvino", "tensorrt"),
        help="only this one; repeatable",
    )  # fmt: skip
    parser.add_argument("--batch", type=int, action="append", metavar="N", help="default: 1 4 16")
    parser.add_argument("--threads", type=int, action="append", metavar="N", help="default: 1 2")
    parser.add_argument(
        "--seconds", type=float, default=2.0, metavar="S", help="per figure (default: 2)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="also write bench.md, .json and .svg"
    )
    parser.add_argument("--json", action="store_true", help="one JSON line instead of a table")


def build_parser() -> argparse.ArgumentParser:
    """The parser; every command sets `handler`."""
    parser = argparse.ArgumentParser(
        prog="veilstream",
        description="Replace faces in video by synthetic ones; bring them back with a password.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version="veilstream 0.1.0")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_anonymize(commands)
    _add_recover(commands)
    inspect = _add_command(commands, "inspect", "show what a key log holds")
    inspect.add_argument("keylog", type=Path, metavar="KEYLOG", help="written by anonymize or run")
    add_unlock_options(inspect)
    inspect.add_argument("--unlock", action="store_true", help="ask for the password")
    inspect.add_argument(
        "--verify", type=Path, metavar="VIDEO", help="compare this video with the log's digests"
    )
    inspect.add_argument(
        "--follow", action="store_true", help="print what a growing log gains, until it is complete"
    )
    inspect.add_argument("--json", action="store_true", help="one JSON line instead of text")
    doctor = _add_command(commands, "doctor", "check whether this machine can do the main job")
    doctor.add_argument("--json", action="store_true", help="one JSON line instead of text")
    demo = _add_command(commands, "demo", "anonymise and recover a made-up sample, with pictures")
    demo.add_argument(
        "--out", type=Path, default=Path("demo_output"), metavar="FOLDER", help="where to put it"
    )
    demo.add_argument("--seconds", type=float, default=6.0, metavar="S", help="sample length")
    _add_common(demo)
    _add_export(commands)
    _add_bench(commands)
    add_run_commands(lambda name, text: _add_command(commands, name, text))
    add_key_commands(lambda name, text: _add_command(commands, name, text))
    return parser
