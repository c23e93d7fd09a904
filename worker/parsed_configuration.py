"""Reads configurations with dstack's own loader and parser, and describes the schemas of these."""

import contextlib
import os
import re
from importlib import metadata

# Texts that PyYAML's own parser may reject, or parse differently from libyaml: other than printable ASCII (including
# tabs), `?` in a plain scalar within brackets, `!` alone, a comment at a block scalar's `|` or `>`.
PARSED_DIFFERENTLY = re.compile(r"[^ -~\n]|[?!]|[|>][-+0-9]*#")
CLASS_NAME = re.compile(r"(?:[A-Z][a-z0-9]*){2,}")


def schema(_question):
    """Returns the JSON schemas of configurations and profiles, without defaults from the environment."""
    from dstack._internal.core.models.configurations import DstackConfiguration
    from dstack._internal.core.models.profiles import ProfilesConfig

    return {
        "configuration": _without_environment(_schema_of(DstackConfiguration)),
        "profiles": _without_environment(_schema_of(ProfilesConfig)),
        "version": metadata.version("dstack"),
    }


def validate(question):
    """Returns dstack's verdict on a configuration or on profiles (`{"text", "kind"}`)."""
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


def load(text):
    """Returns what dstack's loader reads from a text, for comparison with another reader."""
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
