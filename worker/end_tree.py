"""Ends this process and everything that it started."""

import os
import signal
import subprocess
import sys


def end_tree(exit_code):
    if sys.platform == "win32":
        # There are no process groups; without their parent, the processes that it started couldn't be found.
        # By its name alone, it would be looked up in the working directory first.
        taskkill = os.path.join(os.environ.get("SystemRoot", r"C:\Windows"), "System32", "taskkill.exe")
        subprocess.call([taskkill, "/pid", str(os.getpid()), "/T", "/F"])
    elif os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(exit_code)
