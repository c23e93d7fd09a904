/** A command that runs in the bare CLI and warm, and has to print the same. */
export interface EqualityCase {
  /** `sandbox`: a server that answers. `none`: no settings at all. `gone`: no server at the address. `denied`: a wrong token. `broken`: invalid YAML as settings. */
  readonly home: 'sandbox' | 'none' | 'gone' | 'denied' | 'broken';
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** A folder below the workspace. */
  readonly folder?: string;
  /** Why the worker falls back to a plain process. */
  readonly aside?: string;
  /** Whether it prints ages or current offers: compared again if those changed in between. */
  readonly unsteady?: boolean;
}

const words = (line: string): string[] => (line === '' ? [] : line.split(' '));
/** Commands whose output depends on the current offers. */
const SHOWS_OFFERS = /^(?:offer|apply)\b/;

const on = (home: EqualityCase['home'], lines: readonly string[], more: Partial<EqualityCase> = {}): EqualityCase[] =>
  lines.map((line) => ({ home, argv: words(line), ...(SHOWS_OFFERS.test(line) ? { unsteady: true } : {}), ...more }));

/** The files in the workspace, by name. */
export const CASE_FILES: Readonly<Record<string, string>> = {
  'task.dstack.yml':
    'type: task\nname: task-one\ncommands: [echo hi]\nresources: {cpu: "1..", memory: "1GB..", disk: "1GB.."}\n',
  'gpu.dstack.yml': 'type: task\nname: task-gpu\ncommands: [echo hi]\nresources: {gpu: RTX4090}\n',
  'none.dstack.yml': 'type: task\nname: task-none\ncommands: [echo hi]\nresources: {gpu: "B200:800"}\n',
  'service.dstack.yml':
    'type: service\nname: service-one\nport: 8000\ncommands: [run]\nresources: {cpu: "1..", memory: "1GB..", disk: "1GB.."}\n',
  'dev.dstack.yml': 'type: dev-environment\nname: dev-one\nide: cursor\nresources: {gpu: RTX4090}\n',
  'fleet.dstack.yml': 'type: fleet\nname: fleet-one\nnodes: 0..2\n',
  'volume.dstack.yml': 'type: volume\nname: volume-one\nbackend: runpod\nregion: EU-RO-1\nsize: 10GB\n',
  'unicode.dstack.yml': 'type: task\nname: task-ü\ncommands: ["echo 日本語 🚀"]\n',
  'unicode-good.dstack.yml':
    'type: task\nname: task-u\ncommands: ["echo 日本語 🚀 \\u0007"]\nenv: {WORD: "żółć"}\nresources: {gpu: RTX4090}\n',
  'no-yaml.dstack.yml': 'type: task\nname: a: b: c\n',
  'no-type.dstack.yml': 'name: x\n',
  'wrong-type.dstack.yml': 'type: taks\ncommands: [a]\n',
  'typo.dstack.yml': 'type: task\nname: x\ncommand: [a]\n',
  'extra.dstack.yml': 'type: task\nname: x\ncommands: [a]\nfoo: 1\nresources: {gpus: 1}\n',
  'list.dstack.yml': '- 1\n- 2\n',
  'empty.dstack.yml': '',
  'env.dstack.yml': 'type: task\nname: x\ncommands: [a]\nenv: [NOT_SET_ANYWHERE]\n',
  'bad-name.dstack.yml': 'type: task\nname: Not_Allowed\ncommands: [a]\n',
  'profile/.dstack/profiles.yml': 'profiles:\n  - name: cheap\n    max_price: 0.01\n    default: true\n',
  'profile/task.dstack.yml': 'type: task\nname: task-p\ncommands: [echo hi]\nresources: {gpu: RTX4090}\n',
  'default/.dstack.yml': 'type: task\nname: task-d\ncommands: [echo hi]\nresources: {gpu: RTX4090}\n',
};

const helps = [
  '',
  'apply',
  'apply -h task',
  'apply -h fleet',
  'attach',
  'delete',
  'event',
  'fleet',
  'fleet get',
  'gateway',
  'init',
]
  .concat([
    'login',
    'logs',
    'metrics',
    'offer',
    'preset',
    'project',
    'ps',
    'run',
    'run get',
    'secret',
    'server',
    'stop',
    'volume delete',
    'export',
    'import',
  ])
  .map((line) => (line.includes('-h') ? line : `${line} --help`.trim()));

const usageErrors = [
  'nonsense',
  'ps --nonsense',
  'ps extra',
  '--nonsense',
  'run',
  'run get',
  'run get x',
  'fleet get x',
  'stop',
  'logs',
  'offer --max-offers many',
].concat([
  'apply -h nonsense',
  'ps -n',
  'volume get x',
  'event --limit x',
  'fleet delete',
  'ps --ver',
  'stop --help --nonsense',
  'delete -f',
  'offer --gpu',
]);

const reads = [
  'offer --json',
  'offer --group-by gpu',
  'offer --gpu RTX4090 --max-offers 5',
  'offer --cpu 2.. --memory 8GB.. --max-price 0.5',
  'fleet get cloud --json',
]
  .concat([
    'gateway',
    'gateway --json',
    'volume',
    'volume -v',
    'secret list',
    'export list',
    'import list',
    'project list',
    'run get unknown --json',
  ])
  .concat([
    'logs unknown',
    'metrics unknown',
    'stop unknown -y',
    'stop unknown',
    'fleet delete unknown -y',
    'volume delete unknown -y',
    'gateway delete unknown -y',
  ])
  .concat([
    'fleet get unknown --json',
    'volume get unknown --json',
    'gateway get unknown --json',
    'attach unknown',
    'preset',
    'secret get unknown',
    'ps --project unknown',
  ])
  .concat(['offer --spot --on-demand', 'logs unknown --since nonsense', 'event --target-run unknown', 'stop ../.. -y']);

const plans = [
  'task',
  'gpu',
  'none',
  'service',
  'dev',
  'fleet',
  'volume',
  'unicode',
  'unicode-good',
  'no-yaml',
  'no-type',
  'wrong-type',
  'typo',
  'extra',
  'list',
  'empty',
]
  .concat(['env', 'bad-name'])
  .map((name) => `apply -f ${name}.dstack.yml`);

const wide = { COLUMNS: '250' };
const color = { FORCE_COLOR: '1', TERM: 'xterm-256color', COLORTERM: 'truecolor' };

/** All commands of the comparison. */
export const EQUALITY_CASES: readonly EqualityCase[] = [
  ...on('none', helps),
  ...['20', '44', '60', '80', '120', '250'].flatMap((COLUMNS) =>
    on('none', ['apply -h service', 'run --help'], { env: { COLUMNS } }),
  ),
  ...on('none', ['--help', 'offer --help'], { env: color }),
  ...on('none', ['--version', '-v', 'completion bash']),
  ...on('none', usageErrors),
  ...on('none', ['ps --nonsense', 'run get'], { env: { COLUMNS: '40' } }),
  ...on('none', ['ps', 'apply -f task.dstack.yml', 'project list']),
  ...on('gone', ['ps', 'offer', 'run get x --json', 'fleet']),
  ...on('gone', ['ps'], { env: { HTTP_PROXY: 'http://127.0.0.1:9', http_proxy: 'http://127.0.0.1:9' } }),
  ...on('denied', ['ps', 'offer --json', 'apply -f task.dstack.yml']),
  ...on('broken', ['ps', 'project list']),
  ...on('sandbox', reads),
  ...on('sandbox', ['ps', 'ps -a', 'ps -n 1', 'ps -v', 'fleet', 'fleet -v', 'fleet list', 'event'], { unsteady: true }),
  ...on('sandbox', ['ps -a --json', 'run get done-run --json', 'logs done-run']),
  // A prompt without an answer, answered with n, and with nonsense first.
  ...on('sandbox', plans),
  ...on('sandbox', ['apply -f task.dstack.yml', 'apply -f fleet.dstack.yml', 'apply -f volume.dstack.yml'], {
    input: 'n\n',
  }),
  ...on('sandbox', ['apply -f gpu.dstack.yml'], { input: 'what\n\nn\n' }),
  ...on('sandbox', ['fleet delete cloud', 'delete -f fleet.dstack.yml', 'stop done-run'], { input: 'n\n' }),
  ...on(
    'sandbox',
    ['apply -f ../outside.dstack.yml', 'apply -f missing.dstack.yml', 'apply', 'apply -f -', 'apply -f .'],
    { input: 'n\n' },
  ),
  ...on('sandbox', ['apply -f - -y -d'], {
    input: `type: nonsense\ntext: |\n${`  ${'x'.repeat(100_000)}\n`.repeat(30)}`,
  }),
  ...on('sandbox', ['apply -f - -y -d'], { input: '%'.repeat(3_000_000) }),
  ...on('sandbox', ['ps'], { input: 'z'.repeat(3_000_000), unsteady: true }),
  ...on('sandbox', ['apply -f task.dstack.yml'], { folder: 'profile', input: 'n\n' }),
  ...on('sandbox', ['apply -f task.dstack.yml --no-profile', 'apply -f task.dstack.yml --profile unknown'], {
    folder: 'profile',
    input: 'n\n',
  }),
  ...on('sandbox', ['apply'], { folder: 'default', input: 'n\n' }),
  ...on(
    'sandbox',
    ['apply -f gpu.dstack.yml --gpu A100 -n named --max-price 1 -e A=ü', 'apply -f gpu.dstack.yml --nonsense'],
    { input: 'n\n' },
  ),
  ...['40', '80', '250'].flatMap((COLUMNS) =>
    on('sandbox', ['offer', 'apply -f gpu.dstack.yml'], { env: { COLUMNS }, input: 'n\n' }),
  ),
  ...on('sandbox', ['offer', 'apply -f gpu.dstack.yml', 'logs unknown'], { env: { ...color, ...wide }, input: 'n\n' }),
  ...on('sandbox', ['offer --json'], { env: { DSTACK_PROJECT: 'main' } }),
  ...on('sandbox', ['offer --json', 'ps'], { env: { DSTACK_PROJECT: 'unknown' } }),
  ...on('sandbox', ['apply -f task.dstack.yml'], { folder: 'profile', env: { DSTACK_NO_PROFILE: '1' }, input: 'n\n' }),
  ...on('sandbox', ['apply -f env.dstack.yml'], { env: { NOT_SET_ANYWHERE: 'sët' }, input: 'n\n' }),
  ...on('sandbox', ['event'], { env: { TZ: 'Pacific/Chatham' }, unsteady: true }),
  ...on('sandbox', ['offer'], { env: { TERM: 'vt100', LINES: '3', NO_COLOR: '' } }),
  ...on('none', ['server --help'], { env: { DSTACK_SERVER_PORT: '4321', DSTACK_SERVER_HOST: 'example.org' } }),
  // Variables that are read on import: the worker falls back.
  ...on('sandbox', ['offer --json'], {
    env: { DSTACK_CLI_LOG_LEVEL: 'debug' },
    aside: 'DSTACK_CLI_LOG_LEVEL is read on import',
  }),
  ...on('none', ['--version'], {
    env: { DSTACK_FF_CLI_PRINT_JOB_CONNECTION_INFO: '1' },
    aside: 'DSTACK_FF_CLI_PRINT_JOB_CONNECTION_INFO is read on import',
  }),
  ...on('none', ['ps'], { env: { HOME: '/nonexistent' }, aside: 'HOME is read on import' }),
  ...on('none', ['ps'], { env: { PATH: '/nonexistent' }, aside: 'PATH is read on import' }),
  ...on('none', ['ps'], { env: { DSTACK_SSH_CLIENT: '/nonexistent' }, aside: 'DSTACK_SSH_CLIENT is read on import' }),
  ...on('none', ['ps --help'], { env: { LC_ALL: 'C' }, aside: 'LC_ALL is read on import' }),
  ...on('none', ['ps --help'], { env: { LANG: 'de_DE.UTF-8' }, aside: 'LANG is read on import' }),
  ...on('none', ['ps --help'], { env: { PYTHONWARNINGS: 'always' }, aside: 'PYTHONWARNINGS is read on import' }),
  ...on('none', ['ps --help'], { env: { PYTHONIOENCODING: 'ascii' }, aside: 'PYTHONIOENCODING is read on import' }),
];
