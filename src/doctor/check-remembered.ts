import { plural } from '../core/format-values.ts';
import type { Agreement, Agreements } from '../safety/consent/agreements.ts';
import type { Grants } from '../safety/consent/grants.ts';
import { checkGrants } from './check-grants.ts';
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
      details: `${known.map(describe).join('; ')}. To revoke one, the user deletes its file`,
    },
  ];
}

const KINDS = {
  repository: 'Git credentials for',
  'ssh-key': 'the private SSH key',
  variable: 'the value of',
  'env-file': 'the value in',
} as const satisfies Record<Agreement['kind'], string>;

const describe = ({ kind, subject, server, level, agreedAt, file }: Agreement): string =>
  `${KINDS[kind]} ${subject} to ${server} (${level}, ${agreedAt}): ${file}`;
