import { expect, test } from 'vitest';
import { runPython } from '../../support/run-python.ts';
import { inRepository } from '../../support/paths.ts';

const launcher = inRepository('sandbox', 'server', 'fast-server.py');

/** dstack's own function, as the sandbox's server has it, over a shim with two tasks that notes what it is asked. */
const PROGRAM = `
import os, runpy
from types import SimpleNamespace as Thing
from uuid import UUID
os.dup2(1, 3)
runpy.run_path(${JSON.stringify(launcher)})["keep_tasks"]()
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

def look(instance, *jobs):
    check.remove_dangling_tasks_from_instance(Shim(), Thing(id=instance, jobs=[Thing(id=JOBS[n]) for n in jobs]))
    looks.append([*removed])
    removed.clear()

looks = []
`;

const look = (code: string): Promise<unknown> => runPython(`${PROGRAM}\n${code}\nprint(json.dumps(looks))`);

test('a task whose job came to the instance while it was looked at is kept', async () => {
  // The jobs are those of a moment ago at the first look, and those of now at the second.
  expect(await look('look("a", 0); look("a", 0, 1); look("a", 0, 1)')).toEqual([[], [], []]);
});

test('a task that is nobody’s is removed at the second look at its instance', async () => {
  expect(await look('look("a", 0); look("b", 1); look("a", 0); look("a", 0)')).toEqual([[], [], [1], []]);
});
