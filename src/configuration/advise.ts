import { isRecord } from '../core/values.ts';
import { locate } from './parse-text.ts';
import type { ParsedText } from './parse-text.ts';

/** Advice on something that dstack accepts but that may be unintended. Never blocks anything. */
export interface Advice {
  readonly id: string;
  readonly line: number;
  readonly why: string;
  readonly how: string;
}

type Value = Readonly<Record<string, unknown>>;

interface Rule {
  readonly id: string;
  /** Returns the paths that it applies to. */
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
const when = (applies: boolean, ...path: string[]): string[][] => (applies ? [path] : []);
const commandsOf = (value: Value): unknown[] => (Array.isArray(value['commands']) ? value['commands'] : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Yields the variables in `env` that have a literal value, with their paths. */
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

/** Returns true if the last line is a comment or ends a heredoc: the commands joined to it with ` && ` become part of it. */
function swallows(command: string): boolean {
  const lines = command.trimEnd().split('\n');
  const last = lines.at(-1) ?? '';
  const heredoc = /<<-?\s*(["']?)(\w+)\1/.exec(command)?.[2];
  return /(?:^|\s)#[^'"]*$/.test(last) || (heredoc !== undefined && last.trim() === heredoc);
}

/** The rules: patterns, why they matter, and how to fix them. */
const RULES: readonly Rule[] = [
  {
    id: 'no-name',
    at: (value) => when(typeof value['type'] === 'string' && value['type'] !== 'profiles' && !value['name']),
    why: 'without a `name` each apply gets a new one, so applying the file again creates another run instead of updating this one.',
    how: 'Add `name: my-name` (lowercase letters, digits and hyphens).',
  },
  {
    id: 'literal-secret',
    at: (value) =>
      [...envEntries(value)]
        .filter(({ name, literal }) => !isReference(literal) && (SECRET_NAME.test(name) || SECRET_VALUE.test(literal)))
        .map(({ path }) => path),
    why: 'this is a literal secret, and both dstack and version control store the file.',
    how: "Write only the variable's name (`- HF_TOKEN`) and set it in dstack's environment, or use a dstack secret: `HF_TOKEN: ${{ secrets.hf_token }}`.",
  },
  {
    id: 'swallowed-command',
    at: (value) =>
      commandsOf(value).flatMap((command, at) =>
        when(at < commandsOf(value).length - 1 && swallows(text(command)), 'commands', String(at)),
      ),
    why: 'commands are joined by ` && `: a trailing comment or the end of a heredoc swallows the commands after it.',
    how: 'Move the comment out of the string, put this command last, or move it to a script.',
  },
  {
    id: 'unquoted-version',
    at: (value) => when(value['python'] === 3.1, 'python'),
    why: 'YAML reads an unquoted 3.10 as the number 3.1, which only some releases of dstack treat as 3.10.',
    how: 'Quote it: `python: "3.10"`.',
  },
  {
    id: 'python-with-image',
    at: (value) => when(isRun(value) && Boolean(value['image']) && value['python'] !== undefined, 'python'),
    why: '`python` is for dstack’s default image and has no effect with a custom `image`.',
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
    how: 'Add `model:` with the name of the model that the server serves.',
  },
  {
    id: 'no-idle-duration',
    at: (value) => when(value['type'] === 'fleet' && !value['ssh_config'] && value['idle_duration'] === undefined),
    why: 'without `idle_duration` the idle instances of a cloud fleet keep running, and cost money, for dstack’s default duration.',
    how: 'Add `idle_duration: 10m`, or the time to keep them.',
  },
  {
    id: 'nodes-without-cluster',
    at: (value) => when(value['type'] === 'task' && Number(value['nodes']) > 1 && !value['fleets'], 'nodes'),
    why: 'several nodes need a fleet with `placement: cluster`; without one there are no offers.',
    how: 'fleet lists the fleets: name one in `fleets`.',
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
    why: 'a network volume can be attached only in its own backend and region; there are no offers elsewhere.',
    how: 'Get its backend and region with `get` (kind volume), and set `backends` and `regions` to them.',
  },
];

function isNetworkVolume(volume: unknown): boolean {
  if (typeof volume === 'string') return /^[a-z]/.test(volume);
  return isRecord(volume) && 'name' in volume;
}

/**
 * Returns the advice on a configuration, in file order. Never includes values of variables. `fixed` is the configuration without its
 * misspelled names: a property isn't missing because its name is misspelled.
 */
export function advise(parsed: ParsedText, fixed?: Value): readonly Advice[] {
  const value = fixed ?? parsed.value;
  if (!isRecord(value)) return [];
  return RULES.flatMap(({ id, at, why, how }) =>
    at(value).map((path) => {
      const name = id === 'literal-secret' ? `${variableAt(parsed, path)}: ` : '';
      return { id, line: locate(parsed, path).key.line, why: `${name}${why}`, how };
    }),
  ).sort((a, b) => a.line - b.line);
}

function variableAt(parsed: ParsedText, path: readonly string[]): string {
  const [, last = ''] = path;
  if (!/^\d+$/.test(last)) return last;
  return text(parsed.document.getIn(['env', Number(last)])).split('=', 1)[0] ?? '';
}
