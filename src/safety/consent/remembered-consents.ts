import { rm, unlink } from 'node:fs/promises';
import { uptime } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { consentLevel } from '../../core/change.ts';
import type { AccessUse, Disclosure } from '../../core/change.ts';
import { ToolError } from '../../core/errors.ts';
import { sha256 } from '../../core/values.ts';
import { listJsonFiles, readPrivateFile, writePrivateFile } from '../files/private-files.ts';
import { isEnough } from '../policy/policy.ts';
import type { Requirement } from '../policy/policy.ts';
import { spendConsent } from './consent.ts';
import type { Consent } from './consent.ts';

const grantSchema = z.strictObject({
  server: z.string(),
  project: z.string(),
  run: z.string(),
  runId: z.string(),
  /** An update in place changes what runs, and may give it the user's token, but it doesn't change the id. */
  deployment: z.number(),
  /** SHA-256 of the only use; absent for every use. */
  use: z.string().optional(),
  /** It is for requests with the user's token (or the only one), and for nothing else. */
  token: z.literal(true).optional(),
  /** The text of the only use, for people. */
  shown: z.string().optional(),
  /** The only commands, as patterns; absent for all. */
  commands: z.array(z.string()).optional(),
  until: z.iso.datetime(),
  /** Whether the run can reach the dstack server, so that its use needs what that needs. */
  reachesServer: z.boolean(),
  level: consentLevel,
  grantedAt: z.iso.datetime(),
  /** Milliseconds since this computer started. */
  sinceBootMs: z.number(),
});

/** A consent to use a run, which is remembered until it ends. */
export type Grant = z.output<typeof grantSchema> & { readonly file: string };

/** The permission in a run: its every use, or every request with the user's token; or only one of them. */
export interface GrantedUse {
  readonly use?: AccessUse | undefined;
  readonly token?: true;
}

/** Runs of one name. */
interface NamedRun {
  readonly server: string;
  readonly project: string;
  readonly run: string;
}

/** One deployment of one run, whatever other runs had its name. */
export interface GrantedRun extends NamedRun {
  readonly runId: string;
  readonly deployment: number;
}

/** The terms of a consent to use a run. */
export interface GrantTerms extends GrantedRun, GrantedUse {
  readonly until: string;
  /** The only commands, as patterns. Defaults to all. */
  readonly commands?: string[] | undefined;
  readonly reachesServer: boolean;
}

const digestOf = ({ what, text, input, replica, job, isBackground = false }: AccessUse): string =>
  sha256(JSON.stringify([what, text, input ?? null, replica ?? null, job ?? null, isBackground]));

/** Returns the words that a consent to use a run is bound to, in place of a command. */
export const accessArgv = ({
  server,
  project,
  run,
  runId,
  deployment,
  until,
  commands,
  ...wanted
}: GrantTerms): readonly string[] => [
  'access',
  server,
  project,
  run,
  runId,
  String(deployment),
  until,
  nameOf(wanted),
  ...(commands ?? []),
];

const nameOf = ({ use, token }: GrantedUse): string =>
  `${token === true ? 'token ' : ''}${use === undefined ? 'any' : digestOf(use)}`;

/** Further apart, the computer was restarted, or its clock was set. */
const MAX_CLOCK_DRIFT_MS = 10_000;

interface GrantsOptions {
  readonly wall?: () => number;
  /** Milliseconds since this computer started: unlike the wall clock, it can't be set back. */
  readonly sinceBoot?: () => number;
}

/**
 * Remembers who may use which run, in one private file each. A grant is for one deployment of one run of one project and server: a later
 * run of the same name has another id. It is read for each use, so that every server with the same state folder sees that it was revoked.
 */
export class Grants {
  readonly #folder: string;
  readonly #wall: () => number;
  readonly #sinceBoot: () => number;

  constructor(stateDir: string, { wall = Date.now, sinceBoot = () => uptime() * 1_000 }: GrantsOptions = {}) {
    this.#folder = path.join(stateDir, 'grants');
    this.#wall = wall;
    this.#sinceBoot = sinceBoot;
  }

  /** Returns the grant that is in force for this in a run; undefined if there is none. */
  async find(run: GrantedRun, wanted: GrantedUse = {}): Promise<Grant | undefined> {
    const found = readRemembered(grantSchema, this.#fileOf(run, wanted));
    if (found === undefined || !this.#isInForce(found) || !isOf(found, run) || found.runId !== run.runId)
      return undefined;
    const { use, token, deployment } = found;
    const isSame =
      use === (wanted.use === undefined ? undefined : digestOf(wanted.use)) &&
      token === wanted.token &&
      deployment === run.deployment;
    return isSame ? found : undefined;
  }

  /** Ends a grant. Of several processes, one gets true. */
  async end({ file }: Pick<Grant, 'file'>): Promise<boolean> {
    return unlink(file).then(
      () => true,
      () => false,
    );
  }

  /**
   * Remembers what the consent was given for.
   * @throws ToolError `consent-missing` for another consent; `state-unavailable` if it can't be written
   */
  async remember(consent: Consent, terms: GrantTerms): Promise<void> {
    if (!spendConsent(consent, accessArgv(terms)))
      throw new ToolError(
        'consent-missing',
        'There is no consent to use this run. Nothing was run.',
        'Make the call that needs it again, and have it approved.',
      );
    const { use, ...rest } = terms;
    const grant: z.output<typeof grantSchema> = {
      ...rest,
      ...(use === undefined ? {} : { use: digestOf(use), shown: use.text }),
      level: consent.level,
      grantedAt: new Date(this.#wall()).toISOString(),
      sinceBootMs: this.#sinceBoot(),
    };
    try {
      await this.#removeEnded();
      await writePrivateFile(this.#fileOf(terms, terms), JSON.stringify(grant));
    } catch (error) {
      throw new ToolError(
        'state-unavailable',
        `The consent can't be saved in ${this.#folder}. Nothing was run.`,
        'Tell the user; doctor shows the state folder.',
        { cause: error },
      );
    }
  }

  /** Returns every grant that is in force. */
  async list(): Promise<readonly Grant[]> {
    return (await listRemembered(grantSchema, this.#folder)).filter((grant) => this.#isInForce(grant));
  }

  /** Ends every grant for runs of this name, also one that only a wrong clock keeps from being in force. Returns how many it ended. */
  async revoke(run: NamedRun): Promise<number> {
    const ended = await Promise.all(
      (await listRemembered(grantSchema, this.#folder))
        .filter((grant) => isOf(grant, run))
        .map((grant) => this.end(grant)),
    );
    return ended.filter(Boolean).length;
  }

  /** Both clocks have to agree: one may be set, the other starts again with the computer. */
  #isInForce({ until, grantedAt, sinceBootMs }: z.output<typeof grantSchema>): boolean {
    const lifeMs = Date.parse(until) - Date.parse(grantedAt);
    const [wallMs, bootMs] = [this.#wall() - Date.parse(grantedAt), this.#sinceBoot() - sinceBootMs];
    return [wallMs, bootMs].every((age) => age >= 0 && age < lifeMs) && Math.abs(wallMs - bootMs) < MAX_CLOCK_DRIFT_MS;
  }

  async #removeEnded(): Promise<void> {
    for (const file of await listJsonFiles(this.#folder)) {
      const grant = readRemembered(grantSchema, file);
      if (grant === undefined || !this.#isInForce(grant)) await rm(file, { force: true });
    }
  }

  #fileOf({ server, project, run, runId }: GrantedRun, wanted: GrantedUse): string {
    return fileIn(this.#folder, [server, project, run, runId, nameOf(wanted)]);
  }
}

const isOf = (grant: Grant, { server, project, run }: NamedRun): boolean =>
  grant.server === server && grant.project === project && grant.run === run;

const agreementSchema = z.object({
  server: z.string(),
  kind: z.enum(['repository', 'ssh-key', 'variable', 'env-file']),
  subject: z.string(),
  credentials: z.array(z.string()),
  level: consentLevel,
  agreedAt: z.string(),
});

/** A consent to send something to one server, which is remembered until its file is deleted. */
export type Agreement = z.output<typeof agreementSchema> & { readonly file: string };

/** Whether somebody agreed to send this to the server of a plan, as strongly as the policy wants by now. */
export type IsAgreed = (disclosure: Disclosure) => Promise<boolean>;

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

  /**
   * Whether somebody agreed to this, to the same server and with the same credentials or more, in a way that satisfies the requirement.
   */
  async covers(
    { server, requirement }: { readonly server: string; readonly requirement: Requirement },
    { kind, subject, credentials }: Disclosure,
  ): Promise<boolean> {
    const known = readRemembered(agreementSchema, this.#fileOf(server, { kind, subject }));
    if (known === undefined || known.server !== server || known.kind !== kind || known.subject !== subject)
      return false;
    if (!isEnough(known.level, requirement)) return false;
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
    return listRemembered(agreementSchema, this.#folder);
  }

  #fileOf(server: string, { kind, subject }: Pick<Disclosure, 'kind' | 'subject'>): string {
    return fileIn(this.#folder, [server, kind, subject]);
  }
}

/** Reads what is remembered in a file. One that is missing, damaged or open to other users counts as none. */
function readRemembered<T extends object>(
  schema: z.ZodType<T>,
  file: string,
): (T & { readonly file: string }) | undefined {
  try {
    return { ...schema.parse(JSON.parse(readPrivateFile(file).toString())), file };
  } catch {
    return undefined;
  }
}

/** Reads everything that is remembered in a folder. */
async function listRemembered<T extends object>(schema: z.ZodType<T>, folder: string) {
  const read = (await listJsonFiles(folder)).map((file) => readRemembered(schema, file));
  return read.filter((one) => one !== undefined);
}

/** Returns the file that remembers what these words identify. */
const fileIn = (folder: string, words: readonly unknown[]): string =>
  path.join(folder, `${sha256(JSON.stringify(words)).slice(0, 32)}.json`);
