import type { App } from '../app.ts';
import { createDeadline } from '../core/waiting.ts';
import { plural } from '../core/format-values.ts';
import { DstackClient } from '../dstack/client/dstack-client.ts';
import { checkSetup } from '../doctor/doctor.ts';
import { cleanBlock } from '../render/untrusted.ts';
import type { DoctorCheck } from '../doctor/local-checks.ts';

export interface DoctorOptions {
  readonly json: boolean;
  readonly verbose: boolean;
  readonly print: (text: string) => void;
}

/** Prints the checks of `doctor`. Returns the exit code: 1 if there is an error, otherwise 0. */
export async function runDoctor(app: App, { json, verbose, print }: DoctorOptions): Promise<number> {
  const { signal } = new AbortController();
  const deadline = createDeadline({ timeoutMs: app.settings.timeoutMs, signal, progress: undefined });
  const { checks } = await checkSetup({ ...app, dstack: new DstackClient(app, deadline) });
  const shown = checks.map((check) => cleanCheck(check, app));
  print(json ? JSON.stringify({ checks: shown }, null, 2) : renderChecks(shown, verbose));
  return checks.some((check) => check.state === 'error') ? 1 : 0;
}

/** A terminal would act on control characters in an error of the server. */
function cleanCheck(check: DoctorCheck, { filters }: Pick<App, 'filters'>): DoctorCheck {
  const clean = (text: string): string => cleanBlock(filters.redact(text), 20_000);
  const { fix, details } = check;
  return {
    ...check,
    found: clean(check.found),
    ...(fix === undefined ? {} : { fix: clean(fix) }),
    ...(details === undefined ? {} : { details: clean(details) }),
  };
}

const MARKS = { ok: '✓', warning: '!', error: '✗' } as const;

const ADD_PROJECT = 'dstack project add --name <project> --url <server> --token <token>';

/** Fixes for a terminal, by the kind of failure; the check's own fix names this server's tools. */
const TERMINAL_FIXES: Readonly<Record<string, string>> = {
  unauthorized: ADD_PROJECT,
  'no-project': ADD_PROJECT,
  unreachable: `Start the server (dstack server), or set its URL: ${ADD_PROJECT}`,
  'not-dstack': `Set the URL of the server: ${ADD_PROJECT}`,
  'version-mismatch': "Install the server's version of the CLI: uv tool install dstack==<version>",
  'server-error': "See the server's log, then run this again.",
};

/** Renders the checks for a terminal: each problem is followed by its fix, and the last line counts the problems. */
export function renderChecks(checks: readonly DoctorCheck[], verbose: boolean): string {
  const indent = ' '.repeat(15);
  const lines = checks.flatMap(({ name, state, found, fix, code = '', details }) => [
    `${MARKS[state]} ${name.padEnd(12)} ${found}`,
    ...(verbose && details !== undefined ? [`${indent}${details}`] : []),
    ...(state !== 'ok' && fix !== undefined ? [`${indent}Fix: ${TERMINAL_FIXES[code] ?? fix}`] : []),
  ]);
  const count = (state: DoctorCheck['state']): number => checks.filter((check) => check.state === state).length;
  const [errors, warnings] = [count('error'), count('warning')];
  return [...lines, '', `${plural(errors, 'problem')}, ${plural(warnings, 'warning')}.`].join('\n');
}
