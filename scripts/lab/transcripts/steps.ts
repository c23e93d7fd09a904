import { DEV, FLEET, SERVICE, TASK, VOLUME } from './configurations.ts';

/** One step of the recording: what to prepare, then what to run. */
export interface Step {
  /** The transcript's name. A step without one only prepares the next. */
  readonly name?: string;
  /** The words after `dstack`. Without them, the step only prepares. */
  readonly argv?: string;
  /** The answer to dstack's question. Defaults to `n`. */
  readonly input?: string;
  /** Files to replace before the command. */
  readonly files?: Readonly<Record<string, object>>;
  /** Waits until the run has this status. */
  readonly waitFor?: readonly [run: string, status: string];
  /** Repeats the command until its output matches, for at most a minute: for what the server collects in the background. */
  readonly until?: RegExp;
  /** Milliseconds that this run's image takes to pull from now on. */
  readonly pull?: readonly [run: string, ms: number];
  /** Runs the command in a home folder without a default project. */
  readonly withoutDefault?: boolean;
}

const record = (name: string, argv: string, more: Partial<Step> = {}): Step => ({ name, argv, ...more });
const run = (argv: string, more: Partial<Step> = {}): Step => ({ argv, ...more });
const plan = (name: string, file: string, more: Partial<Step> = {}): Step =>
  record(`plan-${name}`, `apply -f ${file}.dstack.yml`, more);
const apply = (name: string, file: string, more: Partial<Step> = {}): Step =>
  record(`apply-${name}`, `apply -f ${file}.dstack.yml -y -d`, more);
const error = (name: string, argv: string, more: Partial<Step> = {}): Step => record(`error-${name}`, argv, more);
const wait = (name: string, status: string): Step => ({ waitFor: [name, status] });

const FLEETS: readonly Step[] = [
  plan('fleet-create', 'fleet'),
  plan('fleet-unnamed', 'fleet2'),
  plan('fleet-no-offers', 'fleet3'),
  plan('fleet-ssh', 'fleet4'),
  apply('fleet-created', 'fleet'),
  plan('fleet-none', 'fleet'),
  apply('fleet-none', 'fleet'),
  plan('fleet-update', 'fleet', { files: { 'fleet.dstack.yml': { ...FLEET, nodes: '0..3' } } }),
  apply('fleet-updated', 'fleet'),
  plan('fleet-replace', 'fleet', { files: { 'fleet.dstack.yml': { ...FLEET, nodes: '0..3', idle_duration: '1m' } } }),
  apply('fleet-replaced', 'fleet'),
  record('fleet-delete-declined', 'fleet delete lab-cloud'),
  record('fleet-delete-not-found', 'fleet delete no-such-fleet -y'),
  record('fleet-get-not-found', 'fleet --project lab get no-such-fleet --json'),
];

/** Before any run: its idle instance would be an offer, too. */
const OFFERS: readonly Step[] = [
  record('offer', 'offer --max-offers 5'),
  record('offer-gpu', 'offer --gpu RTX4090,RTX5090'),
  record('offer-none', 'offer --gpu H200:8'),
  record('offer-json', 'offer --json --max-offers 2 --gpu 1..'),
  record('offer-group-gpu', 'offer --group-by gpu'),
  record('offer-group-backend', 'offer --group-by gpu,backend --gpu 1..'),
  record('offer-group-region', 'offer --group-by gpu,backend,region --gpu 1..'),
  record('offer-group-json', 'offer --group-by gpu --json --gpu 1..'),
];

const TASKS: readonly Step[] = [
  plan('task-create', 'task'),
  record('plan-task-no-fleets', 'apply -f any.dstack.yml --project out-empty'),
  plan('task-no-offers', 'h100'),
  plan('task-unnamed-two-nodes', 'unnamed'),
  apply('task-created', 'task', { pull: ['lab-task', 15_000] }),
  record('ps-provisioning', 'ps', { until: /provisioning/ }),
  { pull: ['lab-task', 0] },
  wait('lab-task', 'running'),
  record('ps-running', 'ps'),
  record('ps-running-verbose', 'ps -v'),
  record('run-get-running', 'run --project lab get lab-task --json'),
  record('logs-running', 'logs lab-task', { until: /hello/ }),
  record('fleet', 'fleet', { until: /busy/ }),
  record('fleet-verbose', 'fleet -v'),
  record('fleet-get', 'fleet --project lab get lab-cloud --json'),
  record('metrics', 'metrics lab-task', { until: /42%/ }),
  record('fleet-delete-in-use', 'fleet delete lab-cloud -y'),
  record('plan-task-more-offers', 'apply -f any.dstack.yml --max-offers 1'),
  record('plan-task-verbose', 'apply -f any.dstack.yml -v'),
  record('plan-task-eof', 'apply -f any.dstack.yml', { input: '' }),
  record('stop-declined', 'stop lab-task'),
  record('stop-eof', 'stop lab-task', { input: '' }),
  plan('task-none', 'task'),
  apply('task-none', 'task'),
  plan('task-update', 'task', { files: { 'task.dstack.yml': { ...TASK, priority: 50 } } }),
  apply('task-updated', 'task'),
  plan('task-replace', 'task', {
    files: { 'task.dstack.yml': { ...TASK, priority: 50, commands: ['echo hello', 'sleep 801'] } },
  }),
  apply('task-replaced', 'task'),
  wait('lab-task', 'running'),
  record('ps-json', 'ps --json'),
  record('stop-stopped', 'stop -y lab-task'),
  wait('lab-task', 'terminated'),
  record('run-get-stopped', 'run --project lab get lab-task --json'),
  record('event', 'event'),
  record('stop-not-found', 'stop -y no-such-run'),
  record('logs-not-found', 'logs no-such-run'),
  record('run-get-not-found', 'run --project lab get no-such-run --json'),
  apply('no-offers', 'h100'),
  wait('big', 'failed'),
  record('ps-last', 'ps -n 1'),
  record('ps-failed', 'ps -a'),
  record('ps-failed-verbose', 'ps -a -v'),
  record('run-get-no-offers', 'run --project lab get big --json'),
];

const OTHER_RUNS: readonly Step[] = [
  plan('dev-create', 'dev'),
  run('apply -f dev.dstack.yml -y -d'),
  wait('lab-dev', 'running'),
  record('run-get-dev', 'run --project lab get lab-dev --json'),
  plan('dev-none', 'dev'),
  plan('dev-update', 'dev', { files: { 'dev.dstack.yml': { ...DEV, inactivity_duration: '3h' } } }),
  plan('dev-replace', 'dev', {
    files: { 'dev.dstack.yml': { ...DEV, inactivity_duration: '3h', env: { A: 'b' } } },
  }),
  run('stop -y lab-dev'),
  wait('lab-dev', 'terminated'),
  record('fleet-delete-instance', 'fleet delete lab-cloud -i 0 -y'),
  { argv: 'fleet', until: /lab-cloud(?![\s\S]*instance=0)/ },
  plan('service-create', 'svc'),
  plan('service-groups', 'groups'),
  record('apply-service-no-gateway', 'apply -f svc.dstack.yml -y -d', {
    files: {
      'svc.dstack.yml': {
        ...SERVICE,
        replicas: '1..2',
        scaling: { metric: 'rps', target: 10 },
      },
    },
  }),
  apply('service-created', 'svc', { files: { 'svc.dstack.yml': SERVICE } }),
  wait('lab-svc', 'running'),
  record('ps-service-verbose', 'ps -v', { until: /✓/ }),
  record('run-get-service', 'run --project lab get lab-svc --json'),
  plan('service-none', 'svc'),
  plan('service-update', 'svc', { files: { 'svc.dstack.yml': { ...SERVICE, commands: ['sleep 701'] } } }),
  plan('service-replace', 'svc', {
    files: { 'svc.dstack.yml': { ...SERVICE, commands: ['sleep 701'], auth: false } },
  }),
  run('stop -y lab-svc'),
  wait('lab-svc', 'terminated'),
  error('since', 'logs lab-svc --since bogus'),
  run('apply -f fail.dstack.yml -y -d'),
  wait('lab-fail', 'failed'),
  record('run-get-failed', 'run --project lab get lab-fail --json'),
  record('ps-mixed', 'ps -a -v'),
  run('apply -f task.dstack.yml -y -d'),
  wait('lab-task', 'running'),
  record('stop-aborted', 'stop -x -y lab-task'),
  wait('lab-task', 'terminated'),
  record('delete-run', 'delete -f task.dstack.yml -y'),
  record('delete-run-not-found', 'delete -f any.dstack.yml -y'),
];

const VOLUMES_AND_GATEWAYS: readonly Step[] = [
  plan('volume-create', 'vol'),
  plan('volume-external', 'vol2'),
  apply('volume-created', 'vol'),
  record('volume', 'volume', { until: /active/ }),
  record('volume-verbose', 'volume -v'),
  record('volume-get', 'volume --project lab get lab-vol --json'),
  plan('volume-none', 'vol'),
  apply('volume-none', 'vol'),
  plan('volume-replace', 'vol', { files: { 'vol.dstack.yml': { ...VOLUME, size: '200GB' } } }),
  record('volume-delete-declined', 'volume delete lab-vol'),
  record('volume-delete', 'volume delete lab-vol -y'),
  record('volume-delete-not-found', 'volume delete no-such-volume -y'),
  record('volume-get-not-found', 'volume --project lab get no-such --json'),
  apply('gateway-no-support', 'gw2'),
  record('gateway-list', 'gateway'),
  record('gateway-list-json', 'gateway --json'),
  record('gateway-get-not-found', 'gateway --project lab get no-such --json'),
  record('gateway-delete-not-found', 'gateway delete no-such -y'),
];

const LISTS: readonly Step[] = [
  record('plan-preset-no-fleets', 'apply -f preset.dstack.yml --project out-empty'),
  record('preset-list', 'preset list'),
  record('project-list', 'project list'),
  run('secret set lab_token hunter2'),
  record('secret-list', 'secret list'),
  record('export-list', 'export list'),
  record('import-list', 'import list'),
];

const ERRORS: readonly Step[] = [
  error('command', 'bogus'),
  error('usage', 'ps --last x'),
  error('no-argument', 'stop'),
  error('unrecognized', 'apply -f task.dstack.yml --bogus'),
  error('no-default-project', 'ps', { withoutDefault: true }),
  error('project-not-configured', 'ps --project nope'),
  error('token', 'ps --project wrong-token'),
  error('unreachable', 'ps --project down'),
  error('html', 'ps --project html'),
  error('html-403', 'ps --project html403'),
  error('html-502', 'ps --project html500'),
  error('file-missing', 'apply -f no-such.dstack.yml'),
  error('file-outside', 'apply -f {elsewhere}/task.dstack.yml'),
  error('profile', 'apply -f task.dstack.yml --profile no-such'),
  error('env', 'apply -f env.dstack.yml'),
  error('files', 'apply -f files.dstack.yml'),
  error('key', 'apply -f key.dstack.yml'),
  error('typo', 'apply -f cmds.dstack.yml'),
  error('name', 'apply -f name.dstack.yml'),
  error('list', 'apply -f list.dstack.yml'),
  error('no-type', 'apply -f notype.dstack.yml'),
  error('type', 'apply -f type.dstack.yml'),
  error('repo', 'apply -f outsider.dstack.yml'),
  error('volume', 'apply -f vols.dstack.yml'),
  error('yaml', 'apply -f yaml.dstack.yml'),
];

/** All steps, in an order in which each finds the state that it needs. */
export const STEPS: readonly Step[] = [
  ...FLEETS,
  ...OFFERS,
  ...TASKS,
  ...OTHER_RUNS,
  ...VOLUMES_AND_GATEWAYS,
  ...LISTS,
  ...ERRORS,
];
