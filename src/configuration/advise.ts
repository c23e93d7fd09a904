import { locate } from './locate.ts';
import type { ParsedText } from './parse-text.ts';
import { isRecord } from './schema-index.ts';

/** Something that dstack accepts and a person may not want. Never a reason to refuse. */
export interface Advice {
  readonly id: string;
  readonly line: number;
  readonly why: string;
  readonly how: string;
}

type Value = Readonly<Record<string, unknown>>;

interface Rule {
  readonly id: string;
  /** The paths that it holds for; none where it doesn't. */
  readonly at: (value: Value) => readonly (readonly string[])[];
  readonly why: string;
  readonly how: string;
}

const RUNS: ReadonlySet<unknown> = new Set(['task', 'service', 'dev-environment']);
const SECRET_NAME = /(?:token|secret|password|passwd|api_?key|access_?key|credential|private_?key)/i;
const SECRET_VALUE = /^(?:hf_|sk-|ghp_|github_pat_|AKIA|xox[bp]-|glpat-)\w/;
const OPENAI_SERVER =
  /\bvllm\s+serve\b|vllm\.entrypoints\.openai|sglang\.launch_server|\btrtllm-serve\b|text-generation-launcher/;
const isRun = ({ type }: Value): boolean => RUNS.has(type);
const when = (holds: boolean, ...path: string[]): string[][] => (holds ? [path] : []);
const commandsOf = (value: Value): unknown[] => (Array.isArray(value['commands']) ? value['commands'] : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The variables of `env` with the values that are written out, and their places. */
function* envEntries(value: Value): Generator<{ name: string; literal: string; path: string[] }> {
  const env = value['env'];
  if (Array.isArray(env)) {
    for (const [at, item] of env.entries()) {
      const [, name, literal] = /^(\w+)=(.*)$/s.exec(text(item)) ?? [];
      if (name !== undefined) yield { name, literal: literal ?? '', path: ['env', String(at)] };
    }
  } else if (isRecord(env)) {
    for (const [name, literal] of Object.entries(env))
      if (literal !== null) yield { name, literal: text(literal), path: ['env', name] };
  }
}

const isReference = (literal: string): boolean => /^\s*$|\$\{\{/.test(literal);

/** A command's last line ends in a comment, or in an open heredoc: joined with ` && `, what follows is part of it. */
function swallows(command: string): boolean {
  const lines = command.trimEnd().split('\n');
  const last = lines.at(-1) ?? '';
  const heredoc = /<<-?\s*(["']?)(\w+)\1/.exec(command)?.[2];
  return /(?:^|\s)#[^'"]*$/.test(last) || (heredoc !== undefined && last.trim() === heredoc);
}

/** One line each: what to look for, why it matters, how to mend it. */
const RULES: readonly Rule[] = [
  {
    id: 'no-name',
    at: (value) => when(typeof value['type'] === 'string' && value['type'] !== 'profiles' && !value['name']),
    why: 'without a `name` dstack invents one, so applying the file again makes another run instead of changing this one.',
    how: 'Add `name: my-name` (small letters, digits and hyphens).',
  },
  {
    id: 'literal-secret',
    at: (value) =>
      [...envEntries(value)]
        .filter(({ name, literal }) => !isReference(literal) && (SECRET_NAME.test(name) || SECRET_VALUE.test(literal)))
        .map(({ path }) => path),
    why: 'a secret is written out here, and the file is kept by dstack and in version control.',
    how: "Write only the variable's name (`- HF_TOKEN`) and set it where dstack runs, or use a dstack secret: `HF_TOKEN: ${{ secrets.hf_token }}`.",
  },
  {
    id: 'swallowed-command',
    at: (value) =>
      commandsOf(value).flatMap((command, at) =>
        when(at < commandsOf(value).length - 1 && swallows(text(command)), 'commands', String(at)),
      ),
    why: 'commands are joined by ` && `: a trailing comment or the end of a heredoc swallows the commands after it.',
    how: 'Move the comment into the YAML (outside of the string), or put this command last, or in a script.',
  },
  {
    id: 'python-with-image',
    at: (value) => when(isRun(value) && Boolean(value['image']) && value['python'] !== undefined, 'python'),
    why: '`python` is for dstack’s default image and has no meaning with an `image` of your own.',
    how: 'Remove `python`, or remove `image`.',
  },
  {
    id: 'service-without-model',
    at: (value) =>
      when(
        value['type'] === 'service' &&
          !value['model'] &&
          OPENAI_SERVER.test([...commandsOf(value).map(text), text(value['image'])].join('\n')),
      ),
    why: 'this looks like an OpenAI-compatible server, and without `model` it is missing from the gateway’s model endpoint.',
    how: 'Add `model:` with the name that the server answers to.',
  },
  {
    id: 'no-max-duration',
    at: (value) =>
      when(
        (value['type'] === 'task' || value['type'] === 'dev-environment') &&
          value['max_duration'] === undefined &&
          value['schedule'] === undefined,
      ),
    why: 'without `max_duration` a run that hangs or is forgotten costs money until somebody stops it.',
    how: 'Add `max_duration: 8h`, or `max_duration: off` to say that it is meant.',
  },
  {
    id: 'no-idle-duration',
    at: (value) => when(value['type'] === 'fleet' && !value['ssh_config'] && value['idle_duration'] === undefined),
    why: 'without `idle_duration` idle machines of a cloud fleet run, and cost, for dstack’s default time.',
    how: 'Add `idle_duration: 10m`, or the time that you want them kept.',
  },
  {
    id: 'nodes-without-cluster',
    at: (value) => when(value['type'] === 'task' && Number(value['nodes']) > 1 && !value['fleets'], 'nodes'),
    why: 'several nodes run only on a fleet with `placement: cluster`; without one the run finds no offers.',
    how: 'See the fleet tool for one with cluster placement, and name it in `fleets`.',
  },
  {
    id: 'volume-elsewhere',
    at: (value) =>
      when(
        isRun(value) &&
          Array.isArray(value['volumes']) &&
          value['volumes'].some(isNetworkVolume) &&
          !value['regions'] &&
          !value['backends'],
        'volumes',
      ),
    why: 'a network volume can be attached only in its own backend and region; elsewhere there are no offers.',
    how: 'Check with `get` (kind volume) where it lies, and set `backends` and `regions` to that.',
  },
];

function isNetworkVolume(volume: unknown): boolean {
  if (typeof volume === 'string') return /^[a-z]/.test(volume);
  return isRecord(volume) && 'name' in volume;
}

/** The advice on a configuration, in the order of the file. Values of variables are never told. */
export function advise(parsed: ParsedText): readonly Advice[] {
  const { value } = parsed;
  if (!isRecord(value)) return [];
  return RULES.flatMap(({ id, at, why, how }) =>
    at(value).map((path) => {
      const name = id === 'literal-secret' ? `${namesOf(parsed, path)}: ` : '';
      return { id, line: locate(parsed, path).key.line, why: `${name}${why}`, how };
    }),
  ).sort((a, b) => a.line - b.line);
}

function namesOf(parsed: ParsedText, path: readonly string[]): string {
  const [, last = ''] = path;
  if (!/^\d+$/.test(last)) return last;
  return text(parsed.document.getIn(['env', Number(last)])).split('=', 1)[0] ?? '';
}

/** The variables that the configuration only names, so that their values come from where dstack runs. */
export function namedVariables(value: unknown): readonly string[] {
  if (!isRecord(value)) return [];
  const { env } = value;
  if (Array.isArray(env)) return env.filter((item) => typeof item === 'string' && /^\w+$/.test(item)).map(String);
  return isRecord(env) ? Object.keys(env).filter((name) => env[name] === null) : [];
}
