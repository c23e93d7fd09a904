"""Runs dstack's entry script as the interpreter itself would: as `__main__`, with the same argv, path and tracebacks."""

import os
import sys
import types


def compile_entry(script):
    """The code of the entry script, read once."""
    with open(script, "rb") as file:
        return compile(file.read(), script, "exec", dont_inherit=True)


OWN_FOLDER = os.path.dirname(os.path.abspath(__file__))


def use_path_of(script):
    """Takes our folder off the module path, and puts the script's where the interpreter puts it (nowhere with PYTHONSAFEPATH)."""
    sys.path[:] = [folder for folder in sys.path if folder != OWN_FOLDER]
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.path.dirname(os.path.realpath(script)))


def make_main(script, argv):
    """Makes the `__main__` in which the script will run, and its argv."""
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=script, __builtins__=__builtins__, __cached__=None)
    sys.modules["__main__"] = main
    sys.argv = [script] + list(argv)
    return main.__dict__


def strip_own_frames(error):
    """Takes the frames of this package off the front of a traceback: the bare CLI has none of them."""
    traceback = error.__traceback__
    while traceback is not None and os.path.dirname(os.path.abspath(traceback.tb_frame.f_code.co_filename)) == OWN_FOLDER:
        traceback = traceback.tb_next
    return error.with_traceback(traceback)
