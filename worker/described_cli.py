"""Describes the installed CLI: the help of every command, as its own parsers print it."""

import argparse
import contextlib
import enum
import io
import sys
from importlib import metadata

from entry_script import make_main


class _Parked(BaseException):
    """Ends the entry script before it parses its arguments."""


def catalog(script, code):
    """Returns the help of every command, as `dstack <words> --help` prints it, by its words. Types of `apply` are `apply -h <type>`."""
    root = _root_parser(script, code)
    help_texts = {}
    for words, parser in _commands(root, ()):
        help_texts[" ".join(words)] = _printed_help(script, root, [*words, "--help"])
        for kind in _help_types(parser):
            # Printing the help of a type adds that type's flags to the parser, so each needs a new one.
            help_texts[" ".join([*words, "-h", kind])] = _printed_help(script, _root_parser(script, code), [*words, "-h", kind])
    return {"help": help_texts, "version": metadata.version("dstack")}


def _root_parser(script, code):
    """Runs the entry script until it parses its arguments, and returns the parser that it built."""
    found = []
    original = argparse.ArgumentParser.parse_known_args

    def park(parser, *_args, **_kwargs):
        found.append(parser)
        raise _Parked

    argparse.ArgumentParser.parse_known_args = park
    try:
        exec(code, make_main(script, []))
    except _Parked:
        pass
    finally:
        argparse.ArgumentParser.parse_known_args = original
    return found[0]


def _commands(parser, words):
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name in _primary_names(action):
                yield from _commands(action.choices[name], (*words, name))


def _primary_names(action):
    """Yields the names of the subcommands without their aliases, which share the parser and come later."""
    seen = set()
    for name, parser in action.choices.items():
        if id(parser) not in seen:
            seen.add(id(parser))
            yield name


def _help_types(parser):
    for action in parser._actions:
        if "--help" in action.option_strings and isinstance(action.type, type) and issubclass(action.type, enum.Enum):
            yield from (str(member.value) for member in action.type)


def _printed_help(script, root, argv):
    sys.argv = [script, *argv]
    content = io.BytesIO()
    capture = io.TextIOWrapper(content, encoding=sys.__stdout__.encoding, errors=sys.__stdout__.errors, newline="\n")
    with contextlib.redirect_stdout(capture), contextlib.suppress(SystemExit):
        args, unknown = root.parse_known_args()
        # `apply --help` is a regular flag: the command itself prints the help.
        args.extra_args = unknown
        args.func(args)
    capture.flush()
    return content.getvalue().decode(sys.__stdout__.encoding)
