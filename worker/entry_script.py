"""Runs dstack's entry script like the interpreter itself: as `__main__`, with the same argv, path and tracebacks."""

import os
import sys
import types
import zipfile


def read_entry(script):
    """Returns the source of the entry script, and the name of its file. A launcher of Windows contains it in an archive."""
    if script.lower().endswith(".exe") and zipfile.is_zipfile(script):
        with zipfile.ZipFile(script) as archive:
            return archive.read("__main__.py"), os.path.join(script, "__main__.py")
    with open(script, "rb") as file:
        return file.read(), script


def compile_entry(script):
    """Compiles the entry script, which is read once."""
    source, name = read_entry(script)
    return compile(source, name, "exec", dont_inherit=True)


OWN_FOLDER = os.path.dirname(os.path.abspath(__file__))


def use_path_of(script):
    """Replaces our folder on the module path with the script's, where the interpreter puts it (nowhere with PYTHONSAFEPATH)."""
    sys.path[:] = [folder for folder in sys.path if folder != OWN_FOLDER]
    if not getattr(sys.flags, "safe_path", False):
        # Of a launcher, the interpreter puts the archive itself there.
        in_archive = script.lower().endswith(".exe")
        sys.path.insert(0, script if in_archive else os.path.dirname(os.path.realpath(script)))


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
