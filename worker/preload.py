"""Imports what dstack's entry script imports, so that a forked child has it already."""

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

# Imported by dstack, requests and rich only when they are needed, which is in nearly every command.
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
    """What the children inherit, and what was found on the way."""

    def __init__(self):
        self.baked = []
        # What the imports printed (a dependency's warning, say): the bare CLI prints it on each start, so each child does.
        self.printed = {1: b"", 2: b""}


def preload(script):
    """Imports everything, and gives what the server has to know about it."""
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
    """Keeps the collector off the inherited heap: walking it in each child would copy all its pages."""
    gc.collect()
    gc.freeze()


def _import_like(script):
    with open(script, "rb") as file:
        tree = ast.parse(file.read(), script)
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
    # Each command runs `ssh -V` first and remembers the answer within its process; the file is watched for changes.
    try:
        from dstack._internal.core.services.ssh.client import get_ssh_client_info

        get_ssh_client_info()
    except Exception:
        pass  # the command itself will say what is wrong with ssh


def fingerprints(script):
    """The state of the files that change when dstack, a library of it or its interpreter is upgraded. Taken before the import."""
    files = [script, os.path.realpath(script), sys.executable, os.path.realpath(sys.executable)]
    package = importlib.util.find_spec("dstack")
    for folder in (package and package.submodule_search_locations) or ():
        # Each installation of a package adds a folder to site-packages, so the time of that one changes.
        files += [folder, os.path.dirname(folder)]
    return {file: fingerprint(file) for file in sorted(set(files))}


def fingerprint(file):
    status = os.stat(file)
    return "%d:%d:%d" % (status.st_ino, status.st_size, status.st_mtime_ns)


def ssh_client():
    """The ssh whose version is remembered, if any."""
    client = sys.modules.get("dstack._internal.core.services.ssh.client")
    path = getattr(getattr(client, "_ssh_client_info", None), "path", None)
    return None if path is None else str(path)


def is_editable():
    """Whether dstack runs from a source tree that may change at any time, which nothing announces."""
    try:
        origin = metadata.distribution("dstack").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return True
    return bool(origin) and bool(json.loads(origin).get("dir_info", {}).get("editable"))


def version():
    return metadata.version("dstack")


class _CapturedOutput:
    """Keeps what is written to descriptors 1 and 2 in the block."""

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
