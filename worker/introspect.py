"""Answers questions in dstack's own interpreter: the help of every command, the schemas, dstack's verdict on a configuration.

In a plain process: <interpreter> -B introspect.py <dstack script> <task>, with the task's input on standard input.
The answer is JSON on standard output.
"""

import argparse
import contextlib
import enum
import hashlib
import io
import itertools
import json
import os
import re
import sys

if __name__ == "__main__":
    # With PYTHONSAFEPATH, the interpreter doesn't search the folder of the script.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from entry_script import compile_entry, make_main, use_path_of


# Texts that PyYAML's own parser may reject, or parse differently from libyaml: other than printable ASCII (including
# tabs), `?` in a plain scalar within brackets, `!` alone, a comment at a block scalar's `|` or `>`.
PARSED_DIFFERENTLY = re.compile(r"[^ -~\n]|[?!]|[|>][-+0-9]*#")
CLASS_NAME = re.compile(r"(?:[A-Z][a-z0-9]*){2,}")


class _Parked(BaseException):
    """Ends the entry script before it parses its arguments."""


def answer(task, script, code):
    """Writes the answer to one task to standard output."""
    with contextlib.redirect_stdout(sys.stderr):
        result = TASKS[task](script, code)
    json.dump(result, sys.stdout, ensure_ascii=True)
    sys.stdout.flush()


def catalog(script, code):
    """Returns the help of every command, as `dstack <words> --help` prints it, by its words. Types of `apply` are `apply -h <type>`."""
    root = _root_parser(script, code)
    help_texts = {}
    for words, parser in _commands(root, ()):
        help_texts[" ".join(words)] = _printed_help(script, root, [*words, "--help"])
        for kind in _help_types(parser):
            # Printing the help of a type adds that type's flags to the parser, so each needs a new one.
            help_texts[" ".join([*words, "-h", kind])] = _printed_help(script, _root_parser(script, code), [*words, "-h", kind])
    return {"help": help_texts, "version": _version()}


def schema(_script, _code):
    """Returns the JSON schemas of configurations and profiles, without defaults from the environment."""
    from dstack._internal.core.models.configurations import DstackConfiguration
    from dstack._internal.core.models.profiles import ProfilesConfig

    return {
        "configuration": _without_environment(_schema_of(DstackConfiguration)),
        "profiles": _without_environment(_schema_of(ProfilesConfig)),
        "version": _version(),
    }


def validate(_script, _code):
    """Returns dstack's verdict on a configuration or on profiles, read as `{"text", "kind"}` from standard input."""
    question = json.loads(sys.stdin.buffer.read())
    try:
        data = load_yaml(question["text"])
    except Exception as error:  # PyYAML raises other errors than its own, for an invalid date for instance
        return {"verdict": "unreadable", "text": str(error), "problems": []}
    texts, problems = [], []
    try:
        _parse(question["kind"], data)
    except Exception as error:
        texts, problems = [str(error)], _problems(error, data)
    wrong_name = _name_error(data) if question["kind"] == "configuration" else None
    if wrong_name is not None:
        texts.append(wrong_name)
        problems.append({"path": ["name"], "message": wrong_name, "kind": "value_error"})
    return {"verdict": "invalid" if texts else "valid", "text": "\n".join(texts), "problems": problems}


def _name_error(data):
    """Returns why dstack's server would reject the name. The parser accepts any, so `dstack apply` fails only after it."""
    from dstack._internal.core.services import validate_dstack_resource_name

    name = data.get("name") if isinstance(data, dict) else None
    if not isinstance(name, str):
        return None
    try:
        validate_dstack_resource_name(name)
    except Exception as error:
        return str(error)
    return None


def load(_script, _code):
    """Returns what dstack's loader reads from a text (a JSON string on standard input), for comparison with another reader."""
    text = json.loads(sys.stdin.buffer.read())
    try:
        value = load_yaml(text)
    except Exception as error:
        return {"error": str(error)}
    return {"value": _comparable(value)}


def _comparable(value):
    """Replaces what JSON doesn't have. Keys keep their type, so that `1:` and `"1":` stay different."""
    if isinstance(value, dict):
        return {_key(key): _comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and value == value and value not in (float("inf"), float("-inf")):
        return value
    return "<%s>" % type(value).__name__


def _key(key):
    return key if isinstance(key, str) else "<%s> %s" % (type(key).__name__, key)


def load_yaml(text):
    """Parses a text like dstack's loader, `yaml.safe_load`.

    libyaml's parser is about twenty times faster and has the same result, except for PARSED_DIFFERENTLY. What it rejects
    is left to dstack's loader, for its error message.
    """
    import yaml

    quick_loader = getattr(yaml, "CSafeLoader", None)
    if quick_loader is not None and not PARSED_DIFFERENTLY.search(text):
        with contextlib.suppress(Exception):
            return yaml.load(text, Loader=quick_loader)
    return yaml.safe_load(text)


def walk(_script, _code):
    """Returns the files that dstack would put into the archive of a folder (utils/files.py), at most `limit` and one more."""
    import ignore
    import ignore.overrides

    question = json.loads(sys.stdin.buffer.read())
    root = question["root"]
    walker = (
        ignore.WalkBuilder(root)
        .overrides(ignore.overrides.OverrideBuilder(root).add("!/.git/").build())
        .hidden(False)
        .require_git(False)
        .add_custom_ignore_filename(".dstackignore")
        .build()
    )
    paths = [str(entry.path()) for entry in itertools.islice(walker, question["limit"] + 1)]
    return {"paths": paths}


def credentials(_script, _code):
    """Returns which credentials dstack may send for repositories and SSH fleets: each by its SHA-256, never itself."""
    question = json.loads(sys.stdin.buffer.read())
    return {
        "repositories": [_repository(url) for url in question["repositories"]],
        "keys": [_fleet_key(path) for path in question["keys"]],
    }


def _repository(value):
    """Returns what dstack reads from a repository's URL, and what it tries, in its order (core/services/repos.py)."""
    from dstack._internal.core.models.repos.remote import GitRepoURL
    from dstack._internal.core.services import repos

    try:
        url = GitRepoURL.parse(value, get_ssh_config=repos.get_host_config)
    except Exception:  # dstack's own error, or one of the parsers that it uses
        return None
    identities = repos.get_host_config(url.original_host).get("identityfile") or []
    found = [("key", path, _text_of(path)) for path in identities[:1]]
    found.append(("token", repos.gh_config_path, _gh_token(repos.gh_config_path, url.host)))
    found.append(("key", repos.default_ssh_key, _text_of(repos.default_ssh_key)))
    return {
        "host": url.host,
        "url": url.as_https(),
        "cloneUrls": [url.as_https(), url.as_ssh()],
        "credentials": [
            {"kind": kind, "path": os.path.expanduser(path), "sha256": _digest(text)} for kind, path, text in found if text is not None
        ],
    }


def _text_of(path):
    try:
        with open(os.path.expanduser(path)) as file:
            return file.read()
    except (OSError, UnicodeError):
        return None


def _gh_token(path, host):
    import yaml

    text = _text_of(path)
    hosts = yaml.safe_load(text) if text is not None else None
    entry = hosts.get(host) if isinstance(hosts, dict) else None
    return entry.get("oauth_token") if isinstance(entry, dict) else None


def _fleet_key(path):
    """Returns the SHA-256 of the private key that dstack would send for a file. None if it isn't one, or its `.pub` isn't a key."""
    from dstack._internal.cli.services.configurators.fleet import _resolve_ssh_key
    from paramiko.pkey import PublicBlob

    try:
        key = _resolve_ssh_key(path)
        PublicBlob.from_string(key.public)
    except (Exception, SystemExit):  # older releases end the command
        return None
    return _digest(key.private)


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


TASKS = {
    "catalog": catalog,
    "schema": schema,
    "validate": validate,
    "load": load,
    "walk": walk,
    "credentials": credentials,
}


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


def _schema_of(model):
    return model.model_json_schema() if hasattr(model, "model_json_schema") else model.schema()


def _without_environment(node):
    """Removes defaults that contain a value of the environment: they only apply to this process, and may be secret."""
    values = {value for name, value in os.environ.items() if len(value) > 3 and name not in ("LANG", "TERM")}
    return _dropping(node, values)


def _dropping(node, values):
    if isinstance(node, list):
        return [_dropping(item, values) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _dropping(value, values)
        for key, value in node.items()
        if not (key == "default" and isinstance(value, str) and value in values)
    }


def _parse(kind, data):
    if kind == "profiles":
        from dstack._internal.core.models.profiles import ProfilesConfig

        return ProfilesConfig.model_validate(data) if hasattr(ProfilesConfig, "model_validate") else ProfilesConfig.parse_obj(data)
    from dstack._internal.core.models.configurations import parse_apply_configuration

    return parse_apply_configuration(data)


def _problems(error, data):
    """Returns pydantic's individual errors, if there are any."""
    cause = error.args[0] if error.args and hasattr(error.args[0], "errors") else error
    if not hasattr(cause, "errors"):
        return []
    return [{"path": _path(item["loc"], data), "message": str(item["msg"]), "kind": str(item["type"])} for item in cause.errors()]


def _path(location, data):
    """Returns the path of an error. Pydantic 1 includes classes (`__root__`, `TaskConfigurationRequest`), pydantic 2 the type (`task`)."""
    parts = [str(part) for part in location]
    if "__root__" not in parts:
        return parts
    kind = [str(data["type"])] if isinstance(data, dict) and "type" in data else []
    return kind + [part for part in parts if part != "__root__" and not CLASS_NAME.fullmatch(part)]


def _version():
    from importlib import metadata

    return metadata.version("dstack")


if __name__ == "__main__":
    use_path_of(sys.argv[1])
    answer(sys.argv[2], sys.argv[1], compile_entry(sys.argv[1]))
