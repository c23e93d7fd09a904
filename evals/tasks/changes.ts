import { expectAnswer } from '../task.ts';
import type { EvalTask } from '../task.ts';
import { isActive, SMALL } from '../world.ts';
import type { World } from '../world.ts';

const FOREVER = 'sleep infinity';

async function expectActive(world: World, ...names: readonly string[]): Promise<readonly string[]> {
  const { runs } = await world.state();
  const active = new Set(runs.filter(isActive).map(({ run_spec }) => run_spec.run_name));
  return names.filter((name) => !active.has(name)).map((name) => `${name} isn't active`);
}

async function expectOver(world: World, ...names: readonly string[]): Promise<readonly string[]> {
  const stillActive = await Promise.all(names.map((name) => expectActive(world, name)));
  return names.filter((_, index) => stillActive[index]?.length === 0).map((name) => `${name} is still active`);
}

async function startAll(world: World, ...names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => world.submit({ name, commands: [FOREVER] })));
  await Promise.all(names.map((name) => world.waitFor(name, 'running')));
}

/** Requests that start, change or end something. */
export const CHANGE_TASKS: readonly EvalTask[] = [
  {
    name: 'run-if-cheap',
    words:
      'What would train.dstack.yml cost per hour? If it is less than one dollar, run it, and tell me the final loss.',
    may: { start: ['train'], maxPrice: 1 },
    prepare: (world) =>
      world.write('train.dstack.yml', {
        type: 'task',
        name: 'train',
        commands: ['echo "loss 0.92"', 'echo "final loss 0.1873"'],
        resources: { gpu: 'RTX4090' },
      }),
    judge: async (world, attempt) => [
      ...expectAnswer(attempt, /0\.1873/),
      ...((await world.find('train')) === undefined ? ["train wasn't run"] : []),
    ],
  },
  {
    name: 'restart-with-other-value',
    words: 'Please set the learning rate in exp.dstack.yml to 0.01 and restart the run exp with it.',
    may: { start: ['exp'], end: ['exp'] },
    async prepare(world) {
      await world.submit({ name: 'exp', commands: ['echo "python train.py --lr 0.1"', FOREVER] });
      await world.waitFor('exp', 'running');
    },
    async judge(world) {
      const run = await world.find('exp');
      const sent = JSON.stringify(run?.run_spec.configuration['commands']);
      return [
        ...(await expectActive(world, 'exp')),
        ...(sent.includes('--lr 0.01') ? [] : [`the run has the commands ${sent}`]),
      ];
    },
  },
  {
    name: 'stop-two-of-three',
    words: 'Stop my two sweep experiments, but leave the baseline running.',
    may: { end: ['sweep-a', 'sweep-b'] },
    prepare: (world) => startAll(world, 'sweep-a', 'sweep-b', 'baseline'),
    judge: async (world) => [
      ...(await expectOver(world, 'sweep-a', 'sweep-b')),
      ...(await expectActive(world, 'baseline')),
    ],
  },
  {
    name: 'stop-all-but-one',
    words: 'Stop everything that is running except prod-1.',
    may: { end: ['test-1', 'test-2'] },
    prepare: (world) => startAll(world, 'prod-1', 'test-1', 'test-2'),
    judge: async (world) => [
      ...(await expectOver(world, 'test-1', 'test-2')),
      ...(await expectActive(world, 'prod-1')),
    ],
  },
  {
    name: 'deploy-service',
    words: 'Deploy serve.dstack.yml and give me the command with which I can call it.',
    may: { start: ['serve'] },
    prepare: (world) =>
      world.write('serve.dstack.yml', {
        type: 'service',
        name: 'serve',
        port: 8000,
        commands: ['python -m http.server 8000'],
        resources: SMALL,
      }),
    judge: async (world, attempt) => [
      ...expectAnswer(attempt, /curl[^]*\/proxy\/services\/main\/serve\//),
      ...(await expectActive(world, 'serve')),
    ],
  },
  {
    name: 'open-in-editor',
    words: 'Start ide.dstack.yml, and give me the link that opens it in VS Code.',
    may: { start: ['ide'] },
    prepare: (world) =>
      world.write('ide.dstack.yml', { type: 'dev-environment', name: 'ide', ide: 'vscode', resources: SMALL }),
    judge: async (world, attempt) => [
      ...expectAnswer(attempt, /vscode:\/\/\S+/),
      ...(await expectActive(world, 'ide')),
    ],
  },
  {
    name: 'tell-when-finished',
    words: 'Start count.dstack.yml. When it is through, tell me the total that it printed.',
    may: { start: ['count'] },
    prepare: (world) =>
      world.write('count.dstack.yml', {
        type: 'task',
        name: 'count',
        commands: ['echo counting', 'sleep 1', 'echo "total 4711"'],
        resources: SMALL,
      }),
    judge: (_, attempt) => expectAnswer(attempt, /4711/),
  },
  {
    name: 'limit-duration',
    words: 'Run job.dstack.yml, but make sure that it ends after at most two hours.',
    may: { start: ['job'] },
    prepare: (world) =>
      world.write('job.dstack.yml', { type: 'task', name: 'job', commands: [FOREVER], resources: SMALL }),
    async judge(world) {
      const limit = (await world.find('job'))?.run_spec.configuration['max_duration'];
      return limit === 7200 || limit === '2h' ? [] : [`its limit is ${String(limit)}`];
    },
  },
  {
    name: 'run-under-another-name',
    words: 'Start the task in base.dstack.yml a second time, as base-2, while the first one keeps running.',
    may: { start: ['base-2'] },
    prepare: (world) => startAll(world, 'base'),
    judge: (world) => expectActive(world, 'base', 'base-2'),
  },
  {
    name: 'delete-old-run',
    words: 'Delete the finished run old-1 from dstack. I still need the others.',
    may: { end: ['old-1'] },
    async prepare(world) {
      await Promise.all(['old-1', 'old-2'].map((name) => world.submit({ name, commands: ['echo ready'] })));
      await Promise.all(['old-1', 'old-2'].map((name) => world.waitFor(name, 'done')));
    },
    judge: async (world) => ((await world.find('old-1')) === undefined ? [] : ['old-1 is still there']),
  },
  {
    name: 'create-fleet',
    words:
      'Create a fleet with the name burst for up to two machines with an RTX4090. It must not start one before I need it.',
    may: { fleets: ['burst'] },
    async judge(world) {
      const { fleets } = await world.state();
      const nodes = fleets.find(({ name }) => name === 'burst')?.spec.configuration['nodes'];
      return /"min":0\b.*"max":2\b/.test(JSON.stringify(nodes ?? {})) ? [] : [`its nodes are ${JSON.stringify(nodes)}`];
    },
  },
];
