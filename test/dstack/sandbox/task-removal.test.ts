import { afterAll, expect, test } from 'vitest';
import { openPython } from '../../support/run-python.ts';
import { inRepository } from '../../support/paths.ts';

const launcher = inRepository('sandbox', 'server', 'fast-server.py');

/** Calls dstack's function, as the sandbox patches it, with a fake shim that has two tasks and records their removal. */
const PROGRAM = `
import os, runpy
from types import SimpleNamespace as Thing
from uuid import UUID
os.dup2(1, 3)
runpy.run_path(${JSON.stringify(launcher)})["delay_task_removal"]()
from dstack._internal.server.background.pipeline_tasks.instances import check

JOBS = [UUID(int=n) for n in range(2)]
tasks = {str(JOBS[0]), str(JOBS[1])}
removed = []

class Shim:
    is_api_v2_supported = lambda self: True
    list_tasks = lambda self: Thing(ids=None, tasks=[Thing(id=id, status="running") for id in sorted(tasks)])
    terminate_task = lambda self, **about: None
    def remove_task(self, task_id):
        removed.append(UUID(task_id).int)
        tasks.discard(task_id)

def run_check(instance, *jobs):
    check.remove_dangling_tasks_from_instance(Shim(), Thing(id=instance, jobs=[Thing(id=JOBS[n]) for n in jobs]))
    checks.append([*removed])
    removed.clear()

checks = []
`;

const python = openPython('dstack._internal.server.background.pipeline_tasks.instances.check', afterAll);
const run = (code: string): Promise<unknown> => python(`${PROGRAM}\n${code}\nprint(json.dumps(checks))`);

test('keeps a task whose job was assigned to the instance during the check', async () => {
  // The first check has an outdated list of jobs, the second a current one.
  expect(await run('run_check("a", 0); run_check("a", 0, 1); run_check("a", 0, 1)')).toEqual([[], [], []]);
});

test('removes a dangling task at the second check of its instance', async () => {
  const code = 'run_check("a", 0); run_check("b", 1); run_check("a", 0); run_check("a", 0)';
  expect(await run(code)).toEqual([[], [], [1], []]);
});
