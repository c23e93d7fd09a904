"""Runs the installed dstack server until the process that started it ends.

The server exits when standard input closes, however its parent ended, and removes the folders in DSTACK_SANDBOX_REMOVE. Each line
on standard input is a command, answered on file descriptor 3 with `done` or `failed ...`. DSTACK_SANDBOX_SPEED=fast shortens the
background intervals and works around a race that short intervals make likely. All changes are made in memory; README.md in the
parent folder lists them with their reasons.
"""

import importlib.util
import os
import shutil
import signal
import sys
import threading
import weakref
from datetime import timedelta

SPEED_UP = 20
SHORTEST_SECONDS = 0.5
LONGER_SECONDS = {
    # Each check of a machine sends it five requests, and each check of a fleet loads all its machines, even if they are idle.
    "InstancePipeline": 3.0,
    "FleetPipeline": 3.0,
    # Each check of a job asks it over SSH. dstack checks those that run half as often.
    "RunPipeline": 0.75,
    "JobRunningPipeline": 0.75,
}
# A background task with this interval asks all jobs for their metrics.
METRICS_SECONDS = 10
# Requests wake the pipelines that they concern. Looking for other work is most of the load of an idle sandbox.
FETCH_DELAYS = [0.2, 0.5, 1.0, 2.0]
# Rarely used, and creating a volume or a gateway wakes its pipeline. Fetching them every second was a quarter of the idle load.
RARE = ("ComputeGroup", "Gateway", "PlacementGroup", "ServiceRouter", "Volume")
RARE_FETCH_DELAYS = [0.2, 0.5, 1.0, 3.0]

commands = os.fdopen(os.dup(0), "r")
answers = os.fdopen(os.dup(3), "w", buffering=1)
# Child processes of the server (ssh) must not inherit either end.
os.close(3)
nothing = os.open(os.devnull, os.O_RDONLY)
os.dup2(nothing, 0)
os.close(nothing)

computes = weakref.WeakSet()


def exit_now():
    folders = os.environ.get("DSTACK_SANDBOX_REMOVE", "").split(os.pathsep)
    # Twice, since other threads may write during the first pass.
    for folder in [*folders, *folders]:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def refresh_offers():
    import gpuhunt

    gpuhunt.default_catalog().load()
    for compute in list(computes):
        with compute._offers_cache_lock:
            compute._offers_cache.clear()


def handle_commands():
    for line in commands:
        try:
            if line.strip() == "refresh-offers":
                refresh_offers()
            else:
                raise ValueError(f"unknown command: {line.strip()}")
            answers.write("done\n")
        except Exception as error:
            answers.write(f"failed {error!r}\n")
    exit_now()


def track_computes():
    """Keeps the objects whose caches refresh_offers clears."""
    from dstack._internal.core.backends.base.compute import ComputeWithAllOffersCached

    original = ComputeWithAllOffersCached.__init__

    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        computes.add(self)

    ComputeWithAllOffersCached.__init__ = init


def shorten_intervals():
    shorten_triggers()
    # dstack before 0.20 has triggers only.
    if importlib.util.find_spec("dstack._internal.server.background.pipeline_tasks"):
        shorten_pipelines()
        shorten_grace()
        delay_task_removal()


def shorten_triggers():
    from apscheduler.triggers.interval import IntervalTrigger

    original_trigger = IntervalTrigger.__init__

    def trigger(self, *args, **kwargs):
        seconds = kwargs.get("seconds", 99)
        if seconds < 15:
            kwargs["seconds"] = 1 if seconds < METRICS_SECONDS else 3
            kwargs.pop("jitter", None)
        original_trigger(self, *args, **kwargs)

    IntervalTrigger.__init__ = trigger


def shorten_pipelines():
    from dstack._internal.server.background.pipeline_tasks import base

    original_fetcher = base.Fetcher.__init__

    def fetcher(self, *args, **kwargs):
        delays = RARE_FETCH_DELAYS if type(self).__name__.startswith(RARE) else FETCH_DELAYS
        original_fetcher(self, *args, fetch_delays=delays, **kwargs)

    base.Fetcher.__init__ = fetcher

    original_pipeline = base.Pipeline.__init__

    def pipeline(self, *args, **kwargs):
        seconds = kwargs["min_processing_interval"].total_seconds() / SPEED_UP
        shortest = LONGER_SECONDS.get(type(self).__name__, SHORTEST_SECONDS)
        kwargs["min_processing_interval"] = timedelta(seconds=max(shortest, seconds))
        original_pipeline(self, *args, **kwargs)

    base.Pipeline.__init__ = pipeline


def shorten_grace():
    """Frees the machine of a stopped job after one second. dstack before 0.22 waits ten, even if the job has ended."""
    from dstack._internal.server.background.pipeline_tasks import jobs_terminating

    original = getattr(jobs_terminating, "_stop_job_gracefully", None)
    if original is None or hasattr(jobs_terminating, "JOB_TERMINATION_DEADLINE"):
        return

    async def stop(*args, **kwargs):
        changes = await original(*args, **kwargs)
        changes["remove_at"] = jobs_terminating.get_current_datetime() + timedelta(seconds=1)
        return changes

    jobs_terminating._stop_job_gracefully = stop


def delay_task_removal():
    """Removes a dangling task only at the second check. This hides a defect of dstack.

    dstack removes every task of an instance that belongs to none of the instance's jobs. With SQLite, its locks don't prevent that a
    job is assigned to the instance during the check. The job then waits two minutes for its removed task and fails with
    `instance_unreachable`. Here a task is removed when two checks in a row found that it belongs to no job.
    """
    from dstack._internal.server.background.pipeline_tasks.instances import check

    original = check.remove_dangling_tasks_from_instance
    found = {}

    def remove(shim_client, instance):
        list_tasks = shim_client.list_tasks

        def list_old_tasks():
            answer = list_tasks()
            owned = {str(job.id) for job in instance.jobs}
            before = found.get(instance.id, set())
            found[instance.id] = {task.id for task in answer.tasks} - owned
            answer.tasks = [task for task in answer.tasks if task.id in owned | before]
            return answer

        shim_client.list_tasks = list_old_tasks
        original(shim_client, instance)

    check.remove_dangling_tasks_from_instance = remove


def accept_gateways():
    """Lets gateways be created and deleted. None gets a machine: it fails as if the cloud had none left."""
    from dstack._internal.core.backends.base.compute import ComputeWithGatewaySupport
    from dstack._internal.core.backends.runpod.compute import RunpodCompute
    from dstack._internal.core.errors import NoCapacityError

    def create(*args, **kwargs):
        raise NoCapacityError("the sandbox has no machines for gateways")

    RunpodCompute.create_gateway = RunpodCompute.create_gateway_replica = create
    # dstack derives from this which backends have gateways (core/backends/features.py).
    ComputeWithGatewaySupport.register(RunpodCompute)


def set_catalog_url():
    """Points to the single price archive that dstack before 0.21 downloads."""
    from gpuhunt._internal import catalog

    if not hasattr(catalog, "_get_base_url"):
        os.environ["GPUHUNT_CATALOG_URL"] += "/catalog.zip"


def set_up_process():
    """Does what the entry point of dstack 0.22 does before it imports the rest of the server."""
    if importlib.util.find_spec("dstack._internal.server.bootstrap"):
        from dstack._internal.server import bootstrap

        bootstrap.set_up_process()


if __name__ == "__main__":
    threading.Thread(target=handle_commands, daemon=True).start()
    set_up_process()
    set_catalog_url()
    track_computes()
    if os.environ.get("DSTACK_SANDBOX_SPEED") == "fast":
        # First: it must be known when the rest of the server is imported.
        accept_gateways()
        shorten_intervals()
    from dstack._internal.cli.main import main

    sys.exit(main())
