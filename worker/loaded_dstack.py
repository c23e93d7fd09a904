"""Imports dstack and describes the result for the server."""

import gc
import shutil
import sys
import time

import preload
from entry_script import compile_entry, use_path_of


class LoadedDstack:
    """dstack after its import: the entry script with its code, and the output of the imports by descriptor."""

    def __init__(self, script):
        gc.disable()
        use_path_of(script)
        prints = preload.fingerprints(script)
        self.entry = (script, compile_entry(script))
        started = time.monotonic()
        loaded = preload.preload(script)
        imported = time.monotonic()
        for program in filter(None, (preload.ssh_client(), shutil.which("git"))):
            prints[program] = preload.fingerprint(program)
        preload.freeze()
        self.printed = loaded.printed
        self.description = {
            "version": preload.version(),
            "python": sys.version.split()[0],
            "bakedAtImport": loaded.baked,
            "fingerprints": prints,
            "importMs": round((imported - started) * 1000),
        }
