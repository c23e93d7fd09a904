import type { Transcript, WireEvent } from '../../src/core/transcript.ts';

const GROUPS: Readonly<Record<string, string>> = { fleet: 'fleets', volume: 'volumes', gateway: 'gateways' };

const EXISTS = /^(?:Active run \S+ already exists|Found \w+ \S+)\./m;

/** Returns the name of the resources of a plan in dstack's API, as in `runs`. */
const groupOf = ({ stdout }: Transcript): string => GROUPS[/^ *Type +(\S+)/m.exec(stdout)?.[1] ?? ''] ?? 'runs';

/** Returns the requests of a plan as the gate reports them, with the resource that `get` prints. */
export function planRequests(plan: Transcript, get: (command: string) => Transcript | undefined): WireEvent[] {
  const group = groupOf(plan);
  const found: WireEvent = {
    event: 'found',
    path: group === 'volumes' ? 'volumes/get' : `${group}/get_plan`,
    value: EXISTS.test(plan.stdout) ? readValue(get(`${group.slice(0, -1)} get`)) : null,
  };
  const name =
    /(?:run|Run|fleet|Fleet|gateway|Gateway) (\S+?)(?:\?| does not| already|\.)/.exec(plan.stdout)?.[1] ?? null;
  return group === 'volumes'
    ? [found]
    : [{ event: 'plan', path: `${group}/get_plan`, sha256: 'a'.repeat(64), name }, found];
}

/** Returns a plan as `apply --yes` has printed it when it waits before its first change. */
export function heldPlan(plan: Transcript): Transcript {
  const stdout = plan.stdout.replace(/^.*\[y\/n\]: *$/m, '').replace(/^Exiting\.\.\.$/m, '');
  const first = /Stop and override|Re-create/.test(plan.stdout) ? 'stop' : 'apply';
  const group = groupOf(plan);
  const path = group === 'runs' || first === 'apply' ? `${group}/${first}` : `${group}/delete`;
  return { ...plan, stdout, requests: [...(plan.requests ?? []), { event: 'held', path }] };
}

/** Returns what `stop` or `delete` has looked up when it waits before its change; undefined if it ends before that. */
export function heldRemoval(command: string, get: (command: string) => Transcript | undefined): Transcript | undefined {
  const kind = command === 'stop' || command === 'delete' ? 'run' : (command.split(' ')[0] ?? '');
  const looked = get(`${kind} get`);
  if (looked === undefined || looked.exit.kind !== 'exited' || looked.exit.code !== 0) return undefined;
  const path = `${kind}s/${command === 'stop' ? 'stop' : 'delete'}`;
  const requests: WireEvent[] = [
    { event: 'found', path: `${kind}s/get`, value: readValue(looked) },
    { event: 'held', path },
  ];
  return { ...looked, stdout: '', requests };
}

function readValue(transcript: Transcript | undefined): unknown {
  if (transcript?.exit.kind !== 'exited' || transcript.exit.code !== 0) return null;
  return JSON.parse(transcript.stdout);
}
