import { hasEffect } from '../dstack/argv/check-argv.ts';
import type { App } from '../app.ts';
import { ToolError } from '../core/errors.ts';
import { formatPrice } from '../core/format-values.ts';
import { readStopOutcome } from '../dstack/output/read-outcome.ts';
import { readRun } from '../dstack/output/read-run.ts';
import type { RunFacts } from '../dstack/output/read-run.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { findResource } from '../dstack/client/find-resource.ts';
import { executeRemoval } from './execute-removal.ts';
import type { PlannedChange } from './planned-change.ts';
import type { StopRequest } from '../core/change.ts';
import type { Deadline } from '../core/deadline.ts';

/** Looks at the run that would be stopped, and binds the stop to it. */
export async function planStop(
  engine: App,
  powers: { commands: DstackClient; time: Deadline },
  request: StopRequest,
): Promise<PlannedChange> {
  const { run: name } = request;
  const operation = request.abort ? 'abort' : 'stop';
  engine.policy.assertResourceAllowed({ kind: 'run', name, project: request.project, operation });
  const found = await findResource(powers.commands, { kind: 'run', name, project: request.project });
  if (found === undefined) throw noSuchRun(name);
  const run = readRun(found.value);
  const { project, server } = await engine.endpoint(request.project);
  const resource = { kind: 'run', name };
  const facts = {
    operation,
    resource,
    project,
    status: run.status,
    ...(run.pricePerHour === undefined ? {} : { pricePerHour: run.pricePerHour }),
  } as const;
  const argv = await powers.commands.check({
    command: 'stop',
    flags: { '--yes': true, '--abort': request.abort, '--project': request.project },
    positionals: [name],
  });
  if (!hasEffect(argv, 'destroy')) throw new TypeError('stop --yes destroys something');
  const perform: PlannedChange['perform'] = (consent) =>
    executeRemoval(engine, powers, {
      argv,
      consent,
      read: readStopOutcome,
      facts,
      look: { kind: 'run', name, project: request.project },
      isEnding: (status) => ENDING.has(status),
    });
  if (run.isFinished) {
    return {
      printed: [],
      facts,
      perform,
      outcome: 'nothing-to-do',
      summary: `Run ${name} is ${run.status} already: there is nothing to stop.`,
      next: 'See what it did with logs.',
    };
  }
  const action = `${request.abort ? 'Abort' : 'Stop'} run ${name}`;
  return {
    printed: [],
    summary: `${action}? ${describeRun(run)}. Nothing was stopped yet.`,
    facts,
    next: 'Show this to the user. Only after their yes, call stop with the token alone.',
    pending: {
      request,
      operation,
      argv: argv.argv,
      binding: {
        tool: 'stop',
        resource,
        project,
        server,
        cwd: '',
        files: {},
        present: run.id,
        affected: [],
        pricePerHour: null,
        cliVersion: (await engine.cli()).version,
      },
      summary: {
        action,
        resource,
        project,
        server,
        losses: [describeRun(run), ...(request.abort ? ['it gets no time to save anything'] : [])],
        warnings: [],
      },
    },
    perform,
  };
}

/** What a run can be once it was stopped; `gone` is one that was deleted meanwhile. */
const ENDING: ReadonlySet<string> = new Set(['terminating', 'terminated', 'failed', 'done', 'gone']);

function describeRun(run: RunFacts): string {
  const parts = [
    `${run.kind ?? 'run'} ${run.name} is ${run.statusMessage ?? run.status}`,
    ...(run.submittedAt === undefined ? [] : [`submitted ${run.submittedAt}`]),
    ...(run.gpu === undefined ? [] : [run.gpu]),
    ...(run.pricePerHour === undefined ? [] : [formatPrice(run.pricePerHour)]),
    ...(run.costUsd === undefined ? [] : [`cost so far $${run.costUsd.toFixed(2)}`]),
  ];
  return parts.join(', ');
}

const noSuchRun = (name: string): ToolError =>
  new ToolError('invalid-name', `There is no run ${name}. Nothing was stopped.`, 'ps with `all` lists the runs.');
