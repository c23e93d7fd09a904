import path from 'node:path';
import * as z from 'zod';
import type { Disclosure } from '../../core/change.ts';
import { ToolError } from '../../core/errors.ts';
import { sha256 } from '../../core/values.ts';
import { readPrivateFile } from '../files/private-folder.ts';
import { listJsonFiles } from '../files/private-json.ts';
import { writePrivateFile } from '../files/write-private-file.ts';
import { spendConsent } from './consent.ts';
import type { Consent } from './consent.ts';

const agreementSchema = z.object({
  server: z.string(),
  kind: z.enum(['repository', 'ssh-key', 'variable', 'env-file']),
  subject: z.string(),
  credentials: z.array(z.string()),
  level: z.string(),
  agreedAt: z.string(),
});

/** A consent to send something to one server, which is remembered until its file is deleted. */
export type Agreement = z.output<typeof agreementSchema> & { readonly file: string };

/** Disclosures to one server. */
export interface ServerDisclosures {
  readonly server: string;
  readonly disclosures: readonly Disclosure[];
}

/**
 * Returns the words that a consent to disclosures is bound to, in place of a command: one for each, which differs with the server, the
 * subject and the credentials.
 */
export const disclosureArgv = ({ server, disclosures }: ServerDisclosures): readonly string[] => [
  'agree',
  ...disclosures.map(({ kind, subject, credentials }) => sha256(JSON.stringify([server, kind, subject, credentials]))),
];

/** Remembers what somebody agreed to send, in one private file each, so that nobody is asked again with every plan. */
export class Agreements {
  readonly #folder: string;

  constructor(stateDir: string) {
    this.#folder = path.join(stateDir, 'agreements');
  }

  /** Whether somebody agreed to this, to the same server and with the same credentials or more. */
  async covers(server: string, { kind, subject, credentials }: Disclosure): Promise<boolean> {
    const known = readAgreement(this.#fileOf(server, { kind, subject }));
    if (known === undefined || known.server !== server || known.kind !== kind || known.subject !== subject)
      return false;
    return credentials.every((one) => known.credentials.includes(one));
  }

  /**
   * Remembers the disclosures that the consent was given for.
   * @throws ToolError `consent-missing` for another consent; `state-unavailable` if they can't be written
   */
  async remember(consent: Consent, { server, disclosures }: ServerDisclosures): Promise<void> {
    if (!spendConsent(consent, disclosureArgv({ server, disclosures })))
      throw new ToolError(
        'consent-missing',
        'There is no consent to send this. Nothing was sent.',
        'Make a new plan and have it approved.',
      );
    const agreedAt = new Date().toISOString();
    for (const { kind, subject, credentials } of disclosures) {
      const agreement = { server, kind, subject, credentials, level: consent.level, agreedAt };
      await writePrivateFile(this.#fileOf(server, { kind, subject }), JSON.stringify(agreement)).catch(
        (error: unknown) => {
          throw new ToolError(
            'state-unavailable',
            `The agreement can't be saved in ${this.#folder}. Nothing was sent.`,
            'Tell the user; doctor shows the state folder.',
            { cause: error },
          );
        },
      );
    }
  }

  /** Returns everything that is remembered. */
  async list(): Promise<readonly Agreement[]> {
    const read = (await listJsonFiles(this.#folder)).map(readAgreement);
    return read.filter((one) => one !== undefined);
  }

  #fileOf(server: string, { kind, subject }: Pick<Disclosure, 'kind' | 'subject'>): string {
    return path.join(this.#folder, `${sha256(JSON.stringify([server, kind, subject])).slice(0, 32)}.json`);
  }
}

/** A file that is missing, damaged or open to other users counts as none. */
function readAgreement(file: string): Agreement | undefined {
  try {
    return { ...agreementSchema.parse(JSON.parse(readPrivateFile(file).toString())), file };
  } catch {
    return undefined;
  }
}
