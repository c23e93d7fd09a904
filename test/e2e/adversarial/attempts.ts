import { CODES } from './refusal-codes.ts';
import type { Code } from './refusal-codes.ts';

/** An attempt to bypass a check of the server, which must be refused with one of these codes before dstack runs. */
export interface Attempt {
  readonly title: string;
  readonly tool: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly codes: readonly Code[];
}

const attempt = (title: string, tool: string, input: Record<string, unknown>, ...codes: Code[]): Attempt => ({
  title,
  tool,
  input,
  codes,
});

/** The file that the attempts plan: harmless. */
export const HARMLESS = 'harmless.dstack.yml';

const withFlag = (title: string, flags: Record<string, unknown>, ...codes: Code[]): Attempt =>
  attempt(`flag: ${title}`, 'plan', { file: HARMLESS, flags }, ...codes);

/** argparse would treat every one of these as a documented flag, or as a positional. */
const FLAGS: readonly Attempt[] = [
  ...['--ye', '--y', '--det', '--deta', '--forc', '--fil', '--max-p', '--gp', '--spo', '--na', '--proj', '--no-p'].map(
    (flag) => withFlag(`the abbreviation ${flag}`, { [flag]: true }, CODES.unknownFlag),
  ),
  ...['-y', '-d', '-yd', '-dy', '-f', '-e', '-x', '-v', '-h', '-n', '-P', '-t', '-b', '-R', '-w'].map((flag) =>
    withFlag(`the short ${flag}`, { [flag]: true }, CODES.unknownFlag),
  ),
  ...['--gpu=A100', '--yes=1', '--spot-policy=spot', '--file=/etc/passwd', '--project=other', '--name=x'].map((flag) =>
    withFlag(`a value in the name: ${flag}`, { [flag]: true }, CODES.unknownFlag),
  ),
  ...['--yes', '--detach', '--file', '--project', '--force'].map((flag) =>
    withFlag(`one that is the server's own: ${flag}`, { [flag]: true }, CODES.forbiddenFlag, CODES.invalidValue),
  ),
  ...[
    ['--ssh-identity', '/root/.ssh/id_rsa'],
    ['--git-identity', '/root/.ssh/id_rsa'],
    ['--env', 'LD_PRELOAD=/tmp/x.so'],
    ['--token', 'ghp_0123456789'],
    ['--host', '0.0.0.0'],
    ['--repo', 'https://example.test/evil.git'],
  ].map(([flag = '', value]) =>
    withFlag(`one that reads files, carries a secret or opens a port: ${flag}`, { [flag]: value }, CODES.forbiddenFlag),
  ),
  withFlag('look-alike letters', { '--gрu': 'A100' }, CODES.unknownFlag),
  withFlag('full-width dashes', { '－－gpu': 'A100' }, CODES.unknownFlag),
  withFlag('an en dash', { '–-gpu': 'A100' }, CODES.unknownFlag),
  withFlag('an invisible character in the name', { '--g\u200bpu': 'A100' }, CODES.unknownFlag),
  withFlag('upper case', { '--GPU': 'A100' }, CODES.unknownFlag),
  withFlag('a space behind the name', { '--gpu ': 'A100' }, CODES.unknownFlag),
  withFlag('a space before the name', { ' --gpu': 'A100' }, CODES.unknownFlag),
  withFlag('two flags in one', { '--gpu A100 --yes': true }, CODES.unknownFlag),
  withFlag('a line break in the name', { '--gpu\n--yes': 'A100' }, CODES.unknownFlag),
  withFlag('a NUL in the name', { '--gpu\0': 'A100' }, CODES.unknownFlag),
  withFlag('the end of options', { '--': true }, CODES.unknownFlag),
  withFlag('an empty name', { '': 'A100' }, CODES.unknownFlag),
  withFlag('a name without dashes', { gpu: 'A100' }, CODES.unknownFlag),
  withFlag('one dash', { '-gpu': 'A100' }, CODES.unknownFlag),
  withFlag('three dashes', { '---gpu': 'A100' }, CODES.unknownFlag),
  withFlag("a property of JavaScript's objects", { constructor: 'A100' }, CODES.unknownFlag),
  withFlag('another property of objects', { toString: 'A100' }, CODES.unknownFlag),
  withFlag('help', { '--help': true }, CODES.unknownFlag, CODES.forbiddenFlag),
  withFlag('an invented one', { '--gpus': 8 }, CODES.unknownFlag),
  withFlag('one of another command', { '--watch': true }, CODES.unknownFlag),
  withFlag('one of another type', { '--placement': 'cluster' }, CODES.unknownFlag),
  withFlag('a switch with a value', { '--spot': 'yes' }, CODES.invalidValue),
  withFlag('a switch with false text', { '--spot': 'false' }, CODES.invalidValue),
  withFlag('a value that is missing', { '--gpu': true }, CODES.invalidValue),
  withFlag('a value that is null', { '--gpu': null }, CODES.invalidValue),
  withFlag('a value that is an object', { '--gpu': { a: 1 } }, CODES.invalidValue),
  withFlag('an empty list', { '--gpu': [] }, CODES.invalidValue),
  withFlag('a list for a flag that takes one', { '--gpu': ['A100', 'H100'] }, CODES.invalidValue),
  withFlag('two that exclude each other', { '--spot': true, '--on-demand': true }, CODES.invalidInput),
  withFlag('another two', { '--profile': 'a', '--no-profile': true }, CODES.invalidInput),
  attempt('flag: watch on ps', 'ps', { flags: { '--watch': true } }, CODES.forbiddenFlag),
  attempt('flag: format on ps', 'ps', { flags: { '--format': 'json' } }, CODES.forbiddenFlag),
  attempt('flag: json on offer', 'offer', { flags: { '--json': true } }, CODES.forbiddenFlag),
  attempt('flag: watch on event', 'event', { flags: { '--watch': true } }, CODES.forbiddenFlag, CODES.unknownFlag),
];

const VALUES_TO_REFUSE: readonly (readonly [string, string])[] = [
  ['a flag', '--yes'],
  ['a short flag', '-y'],
  ['a dash alone', '-'],
  ['a negative number', '-1'],
  ['a line break', 'A100\n--yes'],
  ['a carriage return', 'A100\r--yes'],
  ['a NUL', 'A100\0'],
  ['a tab', 'A100\tx'],
  ['an escape sequence', '\u001b[31mA100'],
  ['an invisible character', 'A\u200b100'],
  ['a bidirectional override', 'A100\u202e001A'],
  ['a byte order mark', '\ufeffA100'],
  ['a command substitution', '$(touch /tmp/pwned)'],
  ['backquotes', '`touch /tmp/pwned`'],
  ['a semicolon', 'A100; touch /tmp/pwned'],
  ['a pipe', 'A100 | sh'],
  ['an ampersand', 'A100 & sh'],
  ['a redirection', 'A100 > /tmp/pwned'],
  ['a variable', '$HOME'],
  ['five kilobytes', 'A'.repeat(5_000)],
];

const VALUES: readonly Attempt[] = VALUES_TO_REFUSE.flatMap(([title, value]) => [
  withFlag(`its value is ${title}`, { '--gpu': value }, CODES.invalidValue),
  attempt(`a field's value is ${title}`, 'offer', { gpu: value }, CODES.invalidValue, CODES.invalidInput),
]);

const NAMES_TO_REFUSE: readonly (readonly [string, string])[] = [
  ['a flag', '--yes'],
  ['a short flag', '-y'],
  ['the end of options', '--'],
  ['empty', ''],
  ['one letter', 'a'],
  ['upper case', 'Train'],
  ['a path', '../other'],
  ['an absolute path', '/etc/passwd'],
  ['a space', 'train --abort'],
  ['a line break', 'train\n'],
  ['a NUL', 'train\0'],
  ['42 letters', 'a'.repeat(42)],
  ['a digit first', '1train'],
  ['an underscore', 'my_train'],
  ['look-alike letters', 'trаin'],
  ['a wildcard', 'train*'],
  ['a query', 'train?x=1'],
  ['percent-encoding', 'train%2f..'],
];

const NAMES: readonly Attempt[] = NAMES_TO_REFUSE.flatMap(([title, name]) => [
  attempt(`name of a run: ${title}`, 'logs', { run: name }, CODES.invalidInput, CODES.invalidName),
  attempt(`name of a run to stop: ${title}`, 'stop', { run: name }, CODES.invalidInput, CODES.invalidName),
  attempt(
    `name of a fleet to delete: ${title}`,
    'delete',
    { type: 'fleet', name },
    CODES.invalidInput,
    CODES.invalidName,
  ),
]);

const PATHS: readonly Attempt[] = [
  ['the file of passwords', '/etc/passwd'],
  ['a file outside', '/etc/hostname.dstack.yml'],
  ['two dots', '../outside.dstack.yml'],
  ['two dots in the middle', `sub/../../outside.dstack.yml`],
  ['a home folder', '~root/x.dstack.yml'],
  ['a link that leads out', 'link-out.dstack.yml'],
  ['a folder that leads out', 'folder-out/outside.dstack.yml'],
  ['a link to a device', 'link-zero.dstack.yml'],
  ['a link to itself', 'link-loop.dstack.yml'],
  ['a pipe', 'pipe.dstack.yml'],
  ['a folder', 'folder.dstack.yml'],
  ['a device', '/dev/zero'],
  ['an open file of the server', '/proc/self/fd/0'],
  ["the server's environment", '/proc/self/environ'],
  ['a URL', 'file:///etc/passwd'],
  ['a web address', 'https://example.test/x.dstack.yml'],
  ['standard input', '-'],
  ['a flag', '--yes'],
  ['a NUL', 'harmless.dstack.yml\0.txt'],
  ['another ending', 'notes.txt'],
  ['a private key', '.ssh/id_rsa'],
  ['nothing there', 'missing.dstack.yml'],
  ['an empty name', ''],
  ['a very long name', `${'a/'.repeat(3_000)}x.dstack.yml`],
  ['another case of a folder', '../WORKSPACE/harmless.dstack.yml'],
].map(([title = '', file]) =>
  attempt(
    `path: ${title}`,
    'plan',
    { file },
    CODES.outsideWorkspace,
    CODES.notAConfiguration,
    CODES.fileNotFound,
    CODES.invalidFile,
    CODES.invalidInput,
  ),
);

/** Names of files that the tests write with hostile content; see `hostile-files.ts`. */
const FILES: readonly Attempt[] = [
  'bomb',
  'aliases',
  'deep',
  'huge',
  'binary',
  'utf16',
  'duplicate-keys',
  'no-type',
  'list',
  'scalar',
  'empty',
  'two-documents',
  'unclosed',
  'tabs',
].map((name) =>
  attempt(`file: ${name}`, 'plan', { file: `${name}.dstack.yml` }, CODES.invalidFile, CODES.outsideWorkspace),
);

const TOKENS_TO_REFUSE: readonly (readonly [string, unknown])[] = [
  ['invented', '0000000-0000000-0000000-0000000'],
  ['empty', ''],
  ['a word', 'yes'],
  ['a flag', '--yes'],
  ['a number', 1],
  ['true', true],
  ['an object', { token: 'x' }],
  ['a list', ['x']],
  ['null', null],
  ['the name of a property', '__proto__'],
  ['very long', 'a'.repeat(100_000)],
];

const TOKENS: readonly Attempt[] = TOKENS_TO_REFUSE.map(([title, token]) =>
  attempt(`token: ${title}`, 'apply', { token }, CODES.tokenUnknown, CODES.invalidInput),
);

const ARGUMENTS: readonly Attempt[] = [
  attempt('an unknown field', 'ps', { watch: true }, CODES.invalidInput),
  attempt('confirm, as other servers have it', 'apply', { confirm: true }, CODES.invalidInput),
  attempt('an unknown token with a file', 'apply', { token: 'x', file: HARMLESS }, CODES.tokenUnknown),
  attempt('an approval next to the name', 'stop', { run: 'train', yes: true }, CODES.invalidInput),
  attempt('a run and a token', 'stop', { run: 'train', token: '0000000-0000000-0000000-0000000' }, CODES.invalidInput),
  attempt('a command in help', 'help', { command: 'apply; touch /tmp/pwned' }, CODES.unknownCommand),
  attempt('an undocumented flag in help', 'help', { command: '--version' }, CODES.unknownFlag),
  attempt('a path in help', 'help', { command: '../../bin/sh' }, CODES.unknownCommand),
  attempt('a flag as type in help', 'help', { command: 'apply', type: '--yes' }, CODES.unknownCommand),
  attempt('a project that is a flag', 'ps', { project: '--yes' }, CODES.invalidValue, CODES.invalidInput, CODES.policy),
  attempt('a project that nobody configured', 'plan', { file: HARMLESS, project: 'other' }, CODES.policy),
  attempt('another server', 'ps', { server: 'http://example.test' }, CODES.invalidInput),
  attempt('ports that open to others', 'attach', { run: 'train', ports: ['0.0.0.0:80:80'] }, CODES.invalidInput),
  attempt('a path as attachment', 'attach', { run: '../../etc' }, CODES.invalidInput, CODES.invalidName),
  attempt('lines without end', 'logs', { run: 'train', lines: 1e9 }, CODES.invalidInput),
  attempt(
    "a cursor that isn't one",
    'logs',
    { run: 'train', cursor: '../../etc/passwd' },
    CODES.invalidValue,
    CODES.invalidInput,
  ),
];

export const ATTEMPTS: readonly Attempt[] = [
  ...FLAGS,
  ...VALUES,
  ...NAMES,
  ...PATHS,
  ...FILES,
  ...TOKENS,
  ...ARGUMENTS,
];
