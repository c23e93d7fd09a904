import { formatLocalTime, plural } from '../core/format-values.ts';
import type { Agreement, Agreements } from '../safety/consent/agreements.ts';
import type { Grant, Grants } from '../safety/consent/grants.ts';
import type { DoctorCheck } from './report.ts';

/** The consents that are remembered. */
export interface RememberedConsents {
  readonly agreements: Pick<Agreements, 'list'>;
  readonly grants: Pick<Grants, 'list'>;
}

/** Lists what somebody agreed to send with plans, and which runs may be used. Without any, there is no check. */
export const checkRemembered = async ({ agreements, grants }: RememberedConsents): Promise<readonly DoctorCheck[]> => [
  ...(await checkAgreements(agreements)),
  ...(await checkGrants(grants)),
];

async function checkAgreements(agreements: Pick<Agreements, 'list'>): Promise<readonly DoctorCheck[]> {
  const known = await agreements.list();
  if (known.length === 0) return [];
  return [
    {
      name: 'agreements',
      state: 'ok',
      found: `plans may send what was agreed to (${plural(known.length, 'agreement')})`,
      details: `${known.map(describeAgreement).join('; ')}. To revoke one, the user deletes its file`,
    },
  ];
}

const KINDS = {
  repository: 'Git credentials for',
  'ssh-key': 'the private SSH key',
  variable: 'the value of',
  'env-file': 'the value in',
} as const satisfies Record<Agreement['kind'], string>;

const describeAgreement = ({ kind, subject, server, level, agreedAt, file }: Agreement): string =>
  `${KINDS[kind]} ${subject} to ${server} (${level}, ${agreedAt}): ${file}`;

async function checkGrants(grants: Pick<Grants, 'list'>): Promise<readonly DoctorCheck[]> {
  const known = await grants.list();
  if (known.length === 0) return [];
  return [
    {
      name: 'access',
      state: 'ok',
      found: `${plural(known.length, 'consent')} to use a run: ${known.map(describeGrant).join('; ')}. To revoke one: exec with action "revoke" and its run`,
      details: `The user can also delete its file: ${known.map(({ file }) => file).join(', ')}`,
    },
  ];
}

const describeGrant = ({ run, project, server, until, level, ...permitted }: Grant): string =>
  `${run} in project ${project} on ${server}, ${describePermission(permitted)}, until ${formatLocalTime(new Date(until))} (${level})`;

function describePermission({ token, shown, commands }: Pick<Grant, 'token' | 'shown' | 'commands'>): string {
  if (token === true) return "requests with the user's dstack token";
  if (shown !== undefined) return `once: ${shown}`;
  return commands === undefined ? 'every command and upload' : `the commands ${commands.join(', ')}`;
}
