"""Answers questions in dstack's own interpreter: the help of every command, the schemas, dstack's verdict on a configuration.

In a plain process: <interpreter> -B introspect.py <dstack script> <task>, with the task's question as JSON on standard input.
The answer is JSON on standard output.
"""

import contextlib
import json
import os
import sys

if __name__ == "__main__":
    # With PYTHONSAFEPATH, the interpreter doesn't search the folder of the script.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from described_cli import catalog
from entry_script import compile_entry, use_path_of
from parsed_configuration import load, schema, validate
from sent_parts import credentials, walk, work_trees

TASKS = {
    "schema": schema,
    "validate": validate,
    "load": load,
    "walk": walk,
    "credentials": credentials,
    "work-trees": work_trees,
}


def answer(task, script, code):
    """Writes the answer to one task to standard output. The task's question is JSON on standard input."""
    question = json.loads(sys.stdin.buffer.read())
    with contextlib.redirect_stdout(sys.stderr):
        result = catalog(script, code) if task == "catalog" else TASKS[task](question)
    json.dump(result, sys.stdout, ensure_ascii=True)
    sys.stdout.flush()


if __name__ == "__main__":
    use_path_of(sys.argv[1])
    answer(sys.argv[2], sys.argv[1], compile_entry(sys.argv[1]))
