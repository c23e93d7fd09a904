"""Ends this process and everything that it started once its time is up, whether or not the server that started it still runs."""

import threading
import time

from end_tree import end_tree

EXIT_TIMED_OUT = 75


def end_after(seconds):
    """Starts the clock."""
    threading.Thread(target=_end, args=(seconds,), daemon=True).start()


def _end(seconds):
    time.sleep(seconds)
    end_tree(EXIT_TIMED_OUT)
