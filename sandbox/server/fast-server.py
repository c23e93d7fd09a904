"""Runs the installed, unmodified dstack server for as long as the process that started it lives.

Standard input is the leash: at its end the server ends at once, whatever way its parent died, and the folder named by
DSTACK_SANDBOX_REMOVE goes with it. A line on it is an order, answered on file descriptor 3 with `done` or `failed ...`.
With DSTACK_SANDBOX_SPEED=fast the intervals of the background loops are shorter, in memory only.
"""

import asyncio
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
# Each look at a machine is five questions to it, also when nothing runs there: most of what an idle sandbox costs.
INSTANCE_SECONDS = 2.0
FETCH_DELAYS = [0.2, 0.5, 1.0]
# Of these there are hardly ever any, and whoever makes a volume or a gateway wakes its pipeline: asking for them each second was a quarter
# of the idle cost.
SELDOM = ("ComputeGroup", "Gateway", "PlacementGroup", "ServiceRouter", "Volume")
SELDOM_FETCH_DELAYS = [0.2, 0.5, 1.0, 3.0]

leash = os.fdopen(os.dup(0), "r")
answers = os.fdopen(os.dup(3), "w", buffering=1)
# Children of the server (ssh) must hold neither end.
os.close(3)
nothing = os.open(os.devnull, os.O_RDONLY)
os.dup2(nothing, 0)
os.close(nothing)

computes = weakref.WeakSet()


def end_now():
    folder = os.environ.get("DSTACK_SANDBOX_REMOVE")
    if folder:
        # Twice: other threads may still write while the first pass goes on.
        shutil.rmtree(folder, ignore_errors=True)
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


def obey():
    for line in leash:
        try:
            if line.strip() == "refresh-offers":
                refresh_offers()
            else:
                raise ValueError(f"unknown order: {line.strip()}")
            answers.write("done\n")
        except Exception as error:
            answers.write(f"failed {error!r}\n")
    end_now()


def remember_computes():
    from dstack._internal.core.backends.base.compute import ComputeWithAllOffersCached

    original = ComputeWithAllOffersCached.__init__

    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        computes.add(self)

    ComputeWithAllOffersCached.__init__ = init


def shorten_intervals():
    shorten_triggers()
    # Before 0.20 all background work went by triggers.
    if importlib.util.find_spec("dstack._internal.server.background.pipeline_tasks"):
        shorten_pipelines()
        shorten_grace()
        keep_stops()
        keep_tasks()


def shorten_triggers():
    from apscheduler.triggers.interval import IntervalTrigger

    original_trigger = IntervalTrigger.__init__

    def trigger(self, *args, **kwargs):
        if kwargs.get("seconds", 99) <= 15:
            kwargs["seconds"] = 1
            kwargs.pop("jitter", None)
        original_trigger(self, *args, **kwargs)

    IntervalTrigger.__init__ = trigger


def shorten_pipelines():
    from dstack._internal.server.background.pipeline_tasks import base

    original_fetcher = base.Fetcher.__init__

    def fetcher(self, *args, **kwargs):
        delays = SELDOM_FETCH_DELAYS if type(self).__name__.startswith(SELDOM) else FETCH_DELAYS
        original_fetcher(self, *args, fetch_delays=delays, **kwargs)

    base.Fetcher.__init__ = fetcher

    original_pipeline = base.Pipeline.__init__

    def pipeline(self, *args, **kwargs):
        seconds = kwargs["min_processing_interval"].total_seconds() / SPEED_UP
        shortest = INSTANCE_SECONDS if type(self).__name__ == "InstancePipeline" else SHORTEST_SECONDS
        kwargs["min_processing_interval"] = timedelta(seconds=max(shortest, seconds))
        original_pipeline(self, *args, **kwargs)

    base.Pipeline.__init__ = pipeline


def shorten_grace():
    """Before 0.22 a job that is stopped holds its machine for ten seconds, also once it has ended."""
    from dstack._internal.server.background.pipeline_tasks import jobs_terminating

    original = getattr(jobs_terminating, "_stop_job_gracefully", None)
    if original is None or hasattr(jobs_terminating, "JOB_TERMINATION_DEADLINE"):
        return

    async def stop(*args, **kwargs):
        changes = await original(*args, **kwargs)
        changes["remove_at"] = jobs_terminating.get_current_datetime() + timedelta(seconds=1)
        return changes

    jobs_terminating._stop_job_gracefully = stop


def keep_stops():
    """dstack's own update of a run can overwrite a stop that comes meanwhile, and with intervals this short it often would.

    Here a stop looks again once no update of its runs is under way, and is repeated where it was lost.
    """
    from dstack._internal.core.models.runs import RunStatus
    from dstack._internal.server.models import RunModel
    from dstack._internal.server.services import runs
    from sqlalchemy import select

    original = runs.stop_runs
    ending = [RunStatus.TERMINATING, *RunStatus.finished_statuses()]

    async def stop(**kwargs):
        session = kwargs["session"]

        async def is_any(condition):
            mine = [RunModel.project_id == kwargs["project"].id, RunModel.run_name.in_(kwargs["runs_names"])]
            found = (await session.execute(select(RunModel.id).where(*mine, condition))).first()
            await session.commit()
            return found is not None

        for _ in range(10):
            await original(**kwargs)
            for _ in range(40):
                await asyncio.sleep(0.05)
                if not await is_any(RunModel.lock_token.is_not(None)):
                    break
            if not await is_any(RunModel.status.not_in(ending)):
                break

    runs.stop_runs = stop


def keep_tasks():
    """dstack removes from an instance each task that none of its jobs has, and a job can be given to the instance while it looks.

    On SQLite its locks let that through: the job waits two minutes for a task that is gone, and fails as `instance_unreachable`.
    Here a task is removed once two looks in a row have found it to be nobody's.
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


def find_prices():
    """Before 0.21 the prices of all clouds are one archive, and the variable names that."""
    from gpuhunt._internal import catalog

    if not hasattr(catalog, "_get_base_url"):
        os.environ["GPUHUNT_CATALOG_URL"] += "/catalog.zip"


def set_up_process():
    """Before anything else of the server is imported, as its own entry point does it from 0.22 on."""
    if importlib.util.find_spec("dstack._internal.server.bootstrap"):
        from dstack._internal.server import bootstrap

        bootstrap.set_up_process()


if __name__ == "__main__":
    threading.Thread(target=obey, daemon=True).start()
    set_up_process()
    find_prices()
    remember_computes()
    if os.environ.get("DSTACK_SANDBOX_SPEED") == "fast":
        shorten_intervals()
    from dstack._internal.cli.main import main

    sys.exit(main())
