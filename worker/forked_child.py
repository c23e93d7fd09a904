"""The forked child of the worker, before it becomes a command: a separate process, which ends with the worker."""

import ctypes
import mmap
import os
import resource
import signal
import sys
import traceback

from command_process import CommandProcess

# A command needs only a fraction of these.
NEEDED_DESCRIPTORS = 128
NEEDED_MEMORY = 64 << 20

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def set_parent_death_signal(number, parent):
    """Makes the kernel send the signal when the parent ends, in any way."""
    _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    return os.getppid() == parent


class ForkedChild(CommandProcess):
    def check_room(self):
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if descriptors != resource.RLIM_INFINITY and descriptors < NEEDED_DESCRIPTORS:
            raise OSError("only %d descriptors may be open" % descriptors)
        mmap.mmap(-1, NEEDED_MEMORY).close()

    def on_go(self, request):
        if request.get("wire") is None:
            self._link.close()


def become_a_process(parent, standard_fds, link_fd):
    """Detaches this fork from its worker: session, signals, standard streams and descriptors. Ends it if the worker has ended."""
    try:
        if not set_parent_death_signal(signal.SIGKILL, parent):
            os._exit(0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        for number, fd in enumerate(standard_fds):
            os.dup2(fd, number)
        _close_everything_else(link_fd)
    except BaseException:
        traceback.print_exc(file=sys.stderr)
        os._exit(70)


def _close_everything_else(keep):
    # A copy of the control channel or of another child's pipes would keep them from ever ending.
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2 and fd != keep:
            try:
                os.close(fd)
            except OSError:
                pass  # the descriptor of the listing itself
