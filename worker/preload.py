"""Imports what dstack's entry script imports, so that forked children start with it."""

import ast
import gc
import importlib
import importlib.util
import json
import os
import sys
import tempfile
from importlib import metadata

import environment_recorder
import rich_consoles
from entry_script import read_entry

# Imported lazily by dstack, requests and rich, but needed by nearly every command.
LAZY_MODULES = (
    "encodings.idna",
    "http.cookiejar",
    "netrc",
    "rich._emoji_codes",
    "rich._spinners",
    "rich.live",
    "rich.pretty",
    "rich.spinner",
    "rich.status",
    "rich.traceback",
    "stringprep",
)


class Preloaded:
    """The state that children inherit, and the findings of the import."""

    def __init__(self):
        self.baked = []
        # Output of the imports, such as a warning of a dependency: the bare CLI prints it on each start, so each child does, too.
        self.printed = {1: b"", 2: b""}


def preload(script):
    """Imports everything, and returns what the server has to know about it."""
    result = Preloaded()
    with _CapturedOutput(result.printed):
        environment_recorder.start_recording()
        rich_consoles.watch_consoles()
        _import_like(script)
        _import_lazy_modules()
        _remember_ssh()
        result.baked = [*environment_recorder.stop_recording(), *environment_recorder.BAKED_BY_THE_PROCESS]
    return result


def freeze():
    """Excludes the inherited heap from garbage collection: traversing it in each child would copy all its pages."""
    gc.collect()
    gc.freeze()


def _import_like(script):
    source, name = read_entry(script)
    tree = ast.parse(source, name)
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            importlib.import_module(statement.module)
        elif isinstance(statement, ast.Import):
            for name in statement.names:
                importlib.import_module(name.name)


def _import_lazy_modules():
    for name in LAZY_MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # another version of the library


def _remember_ssh():
    # Each command runs `ssh -V` first and caches the result in its process; the executable is watched for changes.
    try:
        from dstack._internal.core.services.ssh.client import get_ssh_client_info

        get_ssh_client_info()
    except Exception:
        pass  # the command itself will say what is wrong with ssh


def fingerprints(script):
    """Returns the state of the files that change when dstack, a library or the interpreter is upgraded. Called before the import."""
    files = [script, os.path.realpath(script), sys.executable, os.path.realpath(sys.executable)]
    package = importlib.util.find_spec("dstack")
    for folder in (package and package.submodule_search_locations) or ():
        # Installing any package adds a folder to site-packages, which changes its modification time.
        files += [folder, os.path.dirname(folder)]
    return {file: fingerprint(file) for file in sorted(set(files))}


def fingerprint(file):
    status = os.stat(file)
    return "%d:%d:%d" % (status.st_ino, status.st_size, status.st_mtime_ns)


def ssh_client():
    """Returns the ssh executable whose version is cached, if any."""
    client = sys.modules.get("dstack._internal.core.services.ssh.client")
    path = getattr(getattr(client, "_ssh_client_info", None), "path", None)
    return None if path is None else str(path)


EDITABLE = "dstack is installed from a source tree, which may change at any time"


def is_editable():
    """Returns whether dstack runs from a source tree, which can change at any time without notice."""
    try:
        origin = metadata.distribution("dstack").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return True
    return bool(origin) and bool(json.loads(origin).get("dir_info", {}).get("editable"))


def version():
    return metadata.version("dstack")


class _CapturedOutput:
    """Captures what is written to descriptors 1 and 2 in the block."""

    def __init__(self, printed):
        self._printed = printed
        self._saved = {}

    def __enter__(self):
        for fd in self._printed:
            keep = tempfile.TemporaryFile()
            self._saved[fd] = (os.dup(fd), keep)
            os.dup2(keep.fileno(), fd)

    def __exit__(self, *_error):
        sys.stdout.flush()
        sys.stderr.flush()
        for fd, (original, keep) in self._saved.items():
            keep.seek(0)
            self._printed[fd] = keep.read()
            keep.close()
            os.dup2(original, fd)
            os.close(original)
