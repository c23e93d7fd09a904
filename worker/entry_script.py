"""Runs dstack's entry script like the interpreter itself: as `__main__`, with the same argv, path and tracebacks."""

import os
import sys
import types


def compile_entry(script):
    """Compiles the entry script, which is read once."""
    with open(script, "rb") as file:
        return compile(file.read(), script, "exec", dont_inherit=True)


OWN_FOLDER = os.path.dirname(os.path.abspath(__file__))


def use_path_of(script):
    """Replaces our folder on the module path with the script's, where the interpreter puts it (nowhere with PYTHONSAFEPATH)."""
    sys.path[:] = [folder for folder in sys.path if folder != OWN_FOLDER]
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.path.dirname(os.path.realpath(script)))


def make_main(script, argv):
    """Creates the `__main__` module in which the script runs, and sets its argv."""
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=script, __builtins__=__builtins__, __cached__=None)
    sys.modules["__main__"] = main
    sys.argv = [script] + list(argv)
    return main.__dict__


def strip_own_frames(error):
    """Removes the frames of this package from the start of a traceback: the bare CLI has none of them."""
    traceback = error.__traceback__
    while traceback is not None and os.path.dirname(os.path.abspath(traceback.tb_frame.f_code.co_filename)) == OWN_FOLDER:
        traceback = traceback.tb_next
    return error.with_traceback(traceback)
