import { formatLocalTime, plural } from '../core/format-values.ts';
import type { Grant, Grants } from '../safety/consent/grants.ts';
import type { DoctorCheck } from './report.ts';

/** Lists the consents to use runs that are in force. Without any, there is no check. */
export async function checkGrants(grants: Pick<Grants, 'list'>): Promise<readonly DoctorCheck[]> {
  const known = await grants.list();
  if (known.length === 0) return [];
  return [
    {
      name: 'access',
      state: 'ok',
      found: `${plural(known.length, 'consent')} to use a run: ${known.map(describe).join('; ')}. To revoke one: exec with action "revoke" and its run`,
      details: `The user can also delete its file: ${known.map(({ file }) => file).join(', ')}`,
    },
  ];
}

const describe = ({ run, project, server, until, level, ...permitted }: Grant): string =>
  `${run} in project ${project} on ${server}, ${describePermission(permitted)}, until ${formatLocalTime(new Date(until))} (${level})`;

function describePermission({ token, shown, commands }: Pick<Grant, 'token' | 'shown' | 'commands'>): string {
  if (token === true) return "requests with the user's dstack token";
  if (shown !== undefined) return `once: ${shown}`;
  return commands === undefined ? 'every command and upload' : `the commands ${commands.join(', ')}`;
}
