import { describeGpu } from './format.ts';
import { factsListOf, numberOf, optional, textOf, toFacts } from './read.ts';
import type { Facts } from './read.ts';

/** A run as a list shows it. */
export interface RunRow {
  readonly name: string;
  readonly status: string;
  readonly isFinished: boolean;
  readonly kind?: string;
  readonly place?: string;
  readonly machine?: string;
  readonly pricePerHour?: number;
  readonly costUsd?: number;
  /** The time of submission, if the server returned it. */
  readonly submittedAt?: string;
  /** The age as dstack prints it, if there is no time. */
  readonly submitted?: string;
  readonly error?: string;
}

/** A run as its page shows it. */
export interface RunDetails extends RunRow {
  readonly statusMessage?: string;
  readonly finishedAt?: string;
  readonly reason?: string;
  readonly pull?: PullProgress;
  readonly jobs: readonly { readonly name: string; readonly status: string; readonly note?: string }[];
  readonly serviceUrl?: string;
  /** A service on the user's own dstack server, which asks for their token. */
  readonly takesToken?: boolean;
  readonly model?: string;
  readonly modelUrl?: string;
  readonly ideUrl?: string;
  readonly sshCommand?: string;
  readonly ports: readonly { readonly port: number; readonly localPort?: number }[];
}

/** The progress of an image pull: dstack's text, and a share from 0 to 1. */
export interface PullProgress {
  readonly text: string;
  readonly share: number;
}

const FINISHED: ReadonlySet<string> = new Set(['terminated', 'failed', 'done', 'aborted', 'stopped', 'error']);

/** The tone in which to show a status. */
export type Tone = 'good' | 'busy' | 'bad' | 'over';

/** Returns the tone of a status of any dstack command. */
export function toneOf(status: string): Tone {
  if (status === 'running' || status === 'done' || status === 'active' || status.startsWith('exited (0)'))
    return 'good';
  if (/fail|error|no capacity|no offers|no fleets|exited|interrupted|unknown/.test(status)) return 'bad';
  return FINISHED.has(status) ? 'over' : 'busy';
}

/** Returns whether a run with this status, as any dstack command prints it, has finished. */
export const isOver = (status: string): boolean =>
  FINISHED.has(status) || /^(?:exited|no capacity|no offers|no fleets|interrupted)/.test(status);

/** Reads a row of the list, from JSON or from dstack's table. */
function readRunRow(run: Facts): RunRow | undefined {
  const name = textOf(run, 'name');
  if (name === undefined) return undefined;
  const status = textOf(run, 'statusMessage') ?? textOf(run, 'status') ?? 'unknown';
  const gpu = textOf(run, 'gpu');
  const place = [textOf(run, 'backend'), textOf(run, 'region')].filter((part) => part !== undefined).join(' · ');
  return {
    name,
    status,
    isFinished: typeof run['isFinished'] === 'boolean' ? run['isFinished'] : isOver(status),
    ...optional('kind', textOf(run, 'kind')),
    ...optional('place', place === '' ? undefined : place),
    ...optional('machine', gpu === undefined ? textOf(run, 'instanceType') : describeGpu(gpu)),
    ...optional('pricePerHour', numberOf(run, 'pricePerHour')),
    ...optional('costUsd', numberOf(run, 'costUsd')),
    ...optional('submittedAt', textOf(run, 'submittedAt')),
    ...optional('submitted', textOf(run, 'submitted')),
    ...optional('error', textOf(run, 'error')),
  };
}

/** Reads a run in detail. */
function readRunDetails(run: Facts): RunDetails | undefined {
  const row = readRunRow(run);
  if (row === undefined) return undefined;
  const status = textOf(run, 'status') ?? row.status;
  const jobs = factsListOf(run, 'jobs');
  const reason = textOf(run, 'error') ?? textOf(run, 'terminationMessage') ?? textOf(run, 'terminationReason');
  const pull = jobs.map((job) => textOf(job, 'imagePullProgress')).find((text) => text !== undefined);
  const statusMessage = textOf(run, 'statusMessage');
  return {
    ...row,
    status,
    ...optional('statusMessage', statusMessage),
    ...optional('finishedAt', textOf(run, 'finishedAt')),
    ...optional('reason', reason),
    // dstack keeps the last progress after the pull has finished.
    ...optional('pull', statusMessage === 'pulling' && pull !== undefined ? readPull(pull) : undefined),
    jobs: jobs.map((job) => ({
      name: textOf(job, 'name') ?? '',
      status: textOf(job, 'statusMessage') ?? textOf(job, 'status') ?? 'unknown',
      ...optional('note', textOf(job, 'error') ?? textOf(job, 'terminationReason')),
    })),
    ...optional('serviceUrl', textOf(run, 'serviceUrl')),
    ...optional('takesToken', run['isServiceOnServer'] === true && run['auth'] !== false ? true : undefined),
    ...optional('model', textOf(run, 'model')),
    ...optional('modelUrl', textOf(run, 'modelUrl')),
    ...optional('ideUrl', textOf(run, 'ideUrl')),
    ...optional('sshCommand', textOf(run, 'sshCommand')),
    ports: factsListOf(run, 'ports').flatMap((port) => {
      const inside = numberOf(port, 'port');
      return inside === undefined ? [] : { port: inside, ...optional('localPort', numberOf(port, 'localPort')) };
    }),
  };
}

/** Matches addresses that need no escaping inside single quotes. */
const PLAIN_ADDRESS = /^https?:\/\/[\w.:/?&=%~+-]+$/;

/** Returns a command that calls the service. Whoever runs it must not send the token to an address that only the server vouches for. */
export function exampleRequest({ serviceUrl, takesToken }: RunDetails): string | undefined {
  if (serviceUrl === undefined || !PLAIN_ADDRESS.test(serviceUrl)) return undefined;
  return `curl ${takesToken === true ? '-H "Authorization: Bearer $DSTACK_TOKEN" ' : ''}'${serviceUrl}'`;
}

/** Reads `extracted 1.35, downloaded 1.79 of ≥1.86 GB`. Download and extraction count as one half each. */
export function readPull(text: string): PullProgress | undefined {
  const [, extracted, downloaded, total] = /extracted ([\d.]+), downloaded ([\d.]+) of ≥?([\d.]+) GB/.exec(text) ?? [];
  const whole = Number(total);
  if (!(whole > 0)) return undefined;
  return { text, share: Math.min(1, (Number(extracted) + Number(downloaded)) / (2 * whole)) };
}

/** Reads the rows of a list. */
export function readRunRows(facts: Facts): readonly RunRow[] {
  return factsListOf(facts, 'runs').flatMap((run) => readRunRow(run) ?? []);
}

/** Reads the run of a result of `get`. */
export const runOf = (facts: Facts): RunDetails | undefined => readRunDetails(toFacts(facts['run']));

const MAX_EVENTS = 100;

/** Reads dstack's event lines (`[2026-11-25 01:12:55] [run x] Run submitted.`), latest first. */
export function readEvents(output: string): readonly { readonly at: string; readonly what: string }[] {
  return output
    .split('\n')
    .flatMap((line) => {
      const [, at, what] = /^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] (.+)$/.exec(line) ?? [];
      return at === undefined || what === undefined ? [] : { at, what };
    })
    .reverse()
    .slice(0, MAX_EVENTS);
}
