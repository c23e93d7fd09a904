import { button, data, el, fill, setText } from './dom.ts';
import { formatDollars, formatElapsed, formatSize, plural } from './format.ts';
import type { Formats } from './format.ts';
import { titleOf } from './message-page.ts';
import { disclosure, figures, heading, notice, printout, progress } from './parts.ts';
import type { Figure } from './parts.ts';
import { factsListOf, numberOf, optional, textOf, toFacts } from './read.ts';
import type { Facts } from './read.ts';
import type { ToolResult } from './tool-result.ts';
import type { Card, View } from './view.ts';
import { unfence } from './visible-text.ts';

/** Creates the page of a use of a run: a command, a copy of files, or a request to its service. */
export function createUsePage(card: Card, { facts }: ToolResult, input: Facts): View {
  const run = textOf(facts, 'run') ?? textOf(input, 'run') ?? 'a run';
  const printed = unfence(textOf(facts, 'output') ?? '');
  const next = textOf(facts, 'next');
  const command = textOf(input, 'command');
  const [tone, outcome] = titleOf(textOf(facts, 'outcome'));
  const root = el(
    'main',
    'page use',
    heading(['dstack · ', data(run, 60)], headlineOf(facts, input)),
    notice(tone, outcome, el('p', {}, data(textOf(facts, 'summary') ?? '', 600))),
    progressOf(facts),
    figures(figuresOf(facts)),
    command === undefined ? undefined : disclosure('Command', printout('Command', command)),
    jobsOf(facts),
    printed === '' ? undefined : el('p', 'quiet', 'Written by the run, not by dstack:'),
    printed === '' ? undefined : printout(`Output of ${run}`, printed),
    next === undefined ? undefined : el('p', 'quiet', data(next, 600)),
    createGrantPanel(card, { run, until: textOf(facts, 'grantedUntil'), project: textOf(input, 'project') }),
  );
  return { root, end: () => undefined };
}

/** Describes a use that has no result yet, from the arguments of its call; undefined for another call. */
export function describeUse(input: Facts): string | undefined {
  const run = textOf(input, 'run');
  const [command, direction] = [textOf(input, 'command'), textOf(input, 'direction')];
  if (run === undefined) return undefined;
  if (command !== undefined) return `Running in ${run}: ${command.slice(0, 200)}`;
  if (direction === 'upload')
    return `Uploading ${textOf(input, 'local') ?? ''} to ${run}:${textOf(input, 'remote') ?? ''}`;
  if (direction === 'download')
    return `Downloading ${run}:${textOf(input, 'remote') ?? ''} to ${textOf(input, 'local') ?? ''}`;
  return undefined;
}

function headlineOf(facts: Facts, input: Facts): string {
  const exitCode = numberOf(facts, 'exitCode');
  const state = textOf(facts, 'state');
  if (numberOf(facts, 'files') !== undefined || textOf(input, 'direction') !== undefined)
    return textOf(input, 'direction') === 'upload' ? 'Upload' : 'Download';
  if (numberOf(facts, 'httpStatus') !== undefined || input['chat'] !== undefined || input['load'] !== undefined)
    return 'Answer of the service';
  if (exitCode !== undefined) return exitCode === 0 ? 'Command succeeded' : `Command failed with exit code ${exitCode}`;
  return state === 'running' ? 'Command runs in the background' : 'Commands';
}

/** Draws how far a copy is that takes longer than its call. */
function progressOf(facts: Facts): HTMLElement | undefined {
  const [bytes, ofBytes] = [numberOf(facts, 'bytes'), numberOf(facts, 'ofBytes')];
  if (bytes === undefined || ofBytes === undefined || !(ofBytes > 0)) return undefined;
  const text = `${formatSize(bytes)} of ${formatSize(ofBytes)}`;
  return progress(Math.min(1, bytes / ofBytes), { label: 'Copied', text });
}

function figuresOf(facts: Facts): readonly (Figure | undefined)[] {
  const number = (label: string, key: string, format: (value: number) => string = String): Figure | undefined => {
    const value = numberOf(facts, key);
    return value === undefined ? undefined : { label, value: format(value) };
  };
  const text = (label: string, key: string): Figure | undefined => {
    const value = textOf(facts, key);
    return value === undefined ? undefined : { label, value: data(value, 60) };
  };
  return [
    number('Exit code', 'exitCode'),
    number('Files', 'files'),
    number('HTTP status', 'httpStatus'),
    text('State', 'state'),
    'ofBytes' in facts ? undefined : number('Size', 'bytes', formatSize),
    number('Output', 'stdoutBytes', formatSize),
    number('Time', 'durationMs', formatElapsed),
    number('Skipped', 'same', (count) => `${plural(count, 'file')}, the same`),
    text('Checked by', 'checkedBy'),
    number('Prompt tokens', 'promptTokens'),
    number('Answer tokens', 'completionTokens'),
    ...loadOf(toFacts(facts['load'])),
  ];
}

/** Returns the figures of a load check. */
function loadOf(load: Facts): readonly (Figure | undefined)[] {
  const answered = numberOf(load, 'answered');
  const latency = toFacts(load['latency']);
  const [p50, p99] = [numberOf(latency, 'p50'), numberOf(latency, 'p99')];
  const tokens = numberOf(load, 'tokensPerSecond');
  const dollars = numberOf(load, 'dollarsPerMillionTokens');
  return [
    answered === undefined ? undefined : { label: 'Answered', value: `${answered} of ${numberOf(load, 'sent') ?? 0}` },
    p50 === undefined ? undefined : { label: 'Half within', value: formatElapsed(p50) },
    p99 === undefined ? undefined : { label: '99 % within', value: formatElapsed(p99) },
    tokens === undefined ? undefined : { label: 'Tokens per second', value: tokens.toFixed(1) },
    dollars === undefined ? undefined : { label: 'Per million tokens', value: formatDollars(dollars) },
  ];
}

function jobsOf(facts: Facts): HTMLElement | undefined {
  const jobs = factsListOf(facts, 'jobs');
  if (jobs.length === 0) return undefined;
  const rows = jobs.map((job) => {
    const exitCode = numberOf(job, 'exitCode');
    const state = `${textOf(job, 'state') ?? ''}${exitCode === undefined ? '' : ` (exit code ${exitCode})`}`;
    return el('tr', {}, el('td', {}, data(textOf(job, 'id') ?? '', 20)), el('td', {}, state));
  });
  const head = el('tr', {}, ...['Id', 'State'].map((name) => el('th', {}, name)));
  return el('div', 'scroll', el('table', {}, el('thead', {}, head), el('tbody', {}, ...rows)));
}

interface GrantShown {
  readonly run: string;
  readonly until: string | undefined;
  readonly project: string | undefined;
}

/** Creates the panel with the consent that is in force, and the button that ends it. Absent without one. */
function createGrantPanel(
  { host, formats }: Pick<Card, 'host'> & { readonly formats: Formats },
  { run, until, project }: GrantShown,
): HTMLElement | undefined {
  if (until === undefined) return undefined;
  const message = el('p', { class: 'quiet', attributes: { role: 'status' } });
  setText(
    message,
    `Commands and uploads in ${run} are allowed until it ends, and at most until ${formats.date(until)}.`,
  );
  const root = el('section', { class: 'stop', attributes: { 'aria-label': `Consent to use ${run}` } });
  const revoke = button(
    'Revoke',
    () => {
      revoke.disabled = true;
      host
        .callTool('exec', { run, action: 'revoke', ...optional('project', project) })
        .then(({ facts, text }) =>
          fill(root, el('p', { attributes: { role: 'status' } }, data(textOf(facts, 'summary') ?? text, 300))),
        )
        .catch((error: unknown) => {
          revoke.disabled = false;
          setText(
            message,
            `No answer to your click: ${error instanceof Error ? error.message : 'unknown'}. Try again.`,
          );
        });
    },
    { kind: 'small' },
  );
  fill(root, message, revoke);
  return root;
}
