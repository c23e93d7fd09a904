import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import type { ConsentLevel } from '../../core/change.ts';
import { ToolError, codeOf, messageOf } from '../../core/errors.ts';

/**
 * The approval that a change needs. `person`: a person's approval. `ask`: a person's approval if one can be asked, otherwise the token.
 * `token`: the token. `allow`: none; only the operator's policy can say so.
 */
const REQUIREMENTS = ['person', 'ask', 'token', 'allow'] as const;
export type Requirement = (typeof REQUIREMENTS)[number];

const dollars = z.number().nonnegative();
const patterns = z.array(z.string().regex(/^[a-z0-9*][a-z0-9*_.-]*$/i, 'a name, with * for any characters')).min(1);

const names = patterns.optional();
const variables = z
  .array(z.string().regex(/^[A-Za-z_*][\w*]*$/, 'the name of a variable, with * for any characters'))
  .min(1)
  .optional();
/** How long a consent to use a run is valid. */
export const DEFAULT_ACCESS_HOURS = 8;
const MAX_ACCESS_HOURS = 24;

// One that starts with a star would allow every program.
const commandLines = z
  .array(
    z
      .string()
      .max(1_000)
      .regex(/^[^*\p{C}\s][^\p{C}]*$/u, 'a whole command line that starts with a program, with * for plain words'),
  )
  .min(1);

const folders = z
  .array(z.string().regex(/^(?:~(?:[\\/]|$)|[\\/]|[A-Za-z]:[\\/])/, 'an absolute folder, or one that starts with ~'))
  .min(1)
  .optional();

const requirement = z
  .enum(REQUIREMENTS)
  .describe(
    'person: a person has to approve, otherwise the change is refused. ask: a person has to approve if one can be asked, otherwise the token is enough. token: the token from the preview is enough. allow: no approval is needed.',
  );

const requirementByPrice = z
  .strictObject({
    allow_below: dollars.describe(
      'Dollars per hour. If the change can never cost this much per hour, no approval is needed. An unknown or open limit counts as too high',
    ),
    otherwise: requirement,
  })
  .describe('A requirement that depends on the price');

const consentRule = z.union([requirement, requirementByPrice]);

/** The policy file. Rejects unknown keys, so that a typo can't disable a limit. */
export const policySchema = z
  .strictObject({
    read_only: z.boolean().optional().describe('true disables every change'),
    max_price: dollars
      .optional()
      .describe(
        'Maximum price of one run or fleet in dollars per hour, all nodes or replicas together up to the end of their range, at the highest offer. Volumes and gateways are refused: dstack shows no price for them',
      ),
    max_total: dollars
      .optional()
      .describe(
        'Maximum total cost of one run in dollars: the highest price per hour for max_duration, stop_duration and idle_duration. A run whose total has no limit is refused: one without max_duration, or with schedule, a range of replicas, or a retry other than on no-capacity',
      ),
    max_active: dollars
      .optional()
      .describe('Maximum price of everything active in the project in dollars per hour, the new one included'),
    backends: patterns
      .optional()
      .describe(
        "Allowed backends, by dstack's names (aws, gcp, runpod). * matches any characters. dstack is restricted to them; a fleet has to name its backends in its file. Defaults to all",
      ),
    regions: patterns
      .optional()
      .describe(
        'Allowed regions. * matches any characters (eu-*), but then each configuration or call has to name its regions. Defaults to all',
      ),
    projects: patterns
      .optional()
      .describe(
        'dstack projects in which changes, and any use of runs, are allowed: commands, copies and requests. Defaults to all configured projects',
      ),
    types: z
      .array(z.enum(['task', 'service', 'dev-environment', 'fleet', 'volume', 'gateway']))
      .min(1)
      .optional()
      .describe('Configuration types that may be applied. Defaults to all'),
    operations: z
      .array(z.enum(['create', 'update', 'replace', 'stop', 'abort', 'delete', 'access']))
      .min(1)
      .optional()
      .describe('Allowed operations. access is any use of a run: commands, copies and requests. Defaults to all'),
    protected: patterns
      .optional()
      .describe(
        'Names of runs, fleets, volumes and gateways that must never be updated, replaced, stopped, deleted or accessed, not even by a download or a GET (prod-*)',
      ),
    flags: z
      .array(z.string().regex(/^--[a-z][a-z0-9-]*$/, 'a long flag such as --ssh-identity'))
      .min(1)
      .optional()
      .describe(
        'Flags that a model may use although they read files, carry secrets or open ports. By default, it may not use them',
      ),
    consent: z
      .strictObject({
        create: consentRule.optional().describe('A new run, fleet, volume or gateway'),
        update: consentRule.optional().describe('An in-place update of an existing resource'),
        replace: consentRule
          .optional()
          .describe('A new resource in place of an existing one, which is stopped or deleted'),
        stop: consentRule.optional().describe('Stop a run'),
        abort: consentRule.optional().describe('Stop a run immediately, without a graceful shutdown'),
        delete: consentRule.optional().describe('Delete a fleet, an instance, a volume, a gateway or a finished run'),
        send: requirement
          .optional()
          .describe(
            'Let plans contact the host of a repository, or send a credential to the dstack server; it is remembered',
          ),
        access: requirement
          .optional()
          .describe(
            'Run commands in a run, upload files to it, and download from places with secrets, until it ends; it is remembered',
          ),
        server_access: requirement
          .optional()
          .describe(
            'A run with `dstack: true`, which can reach the dstack server, or with `DSTACK_TOKEN` in `env`, in addition to the rule of its operation. Defaults to person',
          ),
      })
      .optional()
      .describe(
        'The approval that each operation needs. Defaults to DSTACK_MCP_CONFIRM; if that is person, ask and token count as person as well',
      ),
    access: z
      .strictObject({
        never: z
          .boolean()
          .optional()
          .describe(
            'true forbids commands, uploads, downloads, and requests other than GET, with the token of the user, or that can start a replica',
          ),
        commands: commandLines
          .optional()
          .describe(
            'The only commands that may be run, each a whole command line (python train.py *). * matches plain words, no quotes or shell characters. Refused then: uploads, downloads from places with secrets, input for commands, and requests with the token of the user or that can start a replica. Defaults to all',
          ),
        each_time: z
          .boolean()
          .optional()
          .describe(
            'true asks for each command, upload, download from a place with secrets, and request that needs consent, instead of once for a run. The question shows it. Each consent lasts for 10 minutes at most',
          ),
        gateways: names.describe(
          "Domains of gateways to whose services requests may be sent, with the user's token and over HTTPS only (*.gw.example.com). Defaults to none: only the dstack server",
        ),
        hours: z
          .number()
          .positive()
          .max(MAX_ACCESS_HOURS)
          .optional()
          .describe(`Hours after which a run needs consent again. Defaults to ${DEFAULT_ACCESS_HOURS}`),
      })
      .optional()
      .describe('Commands, copies and requests'),
    hand_over: z
      .strictObject({
        hosts: z
          .strictObject({
            allow: names.describe('Hosts that dstack may contact for repositories without asking'),
            never: names.describe('Hosts that dstack may not contact'),
          })
          .optional()
          .describe('Hosts of repositories. Those in neither list need consent'),
        env: z
          .strictObject({
            allow: variables.describe(
              'Variables whose values may be sent without asking. Defaults to all that a configuration names; with this list, others need consent',
            ),
            never: variables.describe('Variables whose values are never sent'),
          })
          .optional()
          .describe("Variables that a configuration names, with values from this server's environment or an env file"),
        folders: z
          .strictObject({
            allow: folders.describe('Folders outside of the workspace from which files may be sent'),
            never: folders.describe('Folders from which nothing is sent'),
          })
          .optional()
          .describe('Folders that a configuration names. Those in neither list have to be in the workspace'),
      })
      .optional()
      .describe('What planning may send to the dstack server. `never` takes precedence over `allow`'),
    audit: z
      .strictObject({
        max_megabytes: z
          .number()
          .positive()
          .max(1000)
          .optional()
          .describe('Size in megabytes at which a new audit file is started. Defaults to 5'),
        keep_files: z.int().min(1).max(1000).optional().describe('Number of full audit files to keep. Defaults to 10'),
      })
      .optional()
      .describe('The audit log'),
  })
  .describe('Rules for what dstack-mcp may do. Every limit is checked before anything is submitted');

export type Policy = z.output<typeof policySchema>;

/** Returns the JSON schema of the policy file, for editors. */
export function policyJsonSchema(): Record<string, unknown> {
  return { title: 'dstack-mcp policy', ...z.toJSONSchema(policySchema) };
}

/**
 * Reads the text of a policy file.
 * @throws ToolError `policy-broken` if it can't be read: nothing may be changed then.
 */
export function readPolicyText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = codeOf(error) ?? 'unknown';
    throw new PolicyBroken(file, code === 'ENOENT' ? 'there is no such file' : `it can't be read (${code})`, error);
  }
}

/**
 * Parses the text of a policy file. An empty file is a mistake, not a policy without limits.
 * @throws ToolError `policy-broken` if it isn't valid.
 */
export function parsePolicy(text: string, file: string): Policy {
  const document = parseDocument(text, { uniqueKeys: true, prettyErrors: true });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) throw new PolicyBroken(file, problem.message);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new PolicyBroken(file, messageOf(error), error);
  }
  const parsed = policySchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new PolicyBroken(
    file,
    parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`).join('; '),
  );
}

/** The policy file can't be read or isn't valid, while the server runs. */
export class PolicyBroken extends ToolError {
  readonly why: string;

  constructor(file: string, why: string, cause?: unknown) {
    super(
      'policy-broken',
      `The policy file ${file} is not valid, so no change is allowed: ${why}.`,
      'Tell the operator; doctor reports this too. Tools that only read still work.',
      { cause },
    );
    this.why = why;
  }
}

/** Returns the policy's requirement if it has one, otherwise the setting's. With the setting `person`, a token alone is never enough. */
export function combineRequirements(setting: 'ask' | 'person' | 'token', policy: Requirement | undefined): Requirement {
  const wanted = policy ?? setting;
  return setting === 'person' && wanted !== 'allow' ? 'person' : wanted;
}

/** Returns the stricter of two requirements. */
export const strictest = (a: Requirement, b: Requirement): Requirement =>
  REQUIREMENTS.indexOf(a) <= REQUIREMENTS.indexOf(b) ? a : b;

const SATISFIES: Readonly<Record<ConsentLevel, readonly Requirement[]>> = {
  'person-card': REQUIREMENTS,
  'person-form': REQUIREMENTS,
  'person-dialog': REQUIREMENTS,
  // `ask`: the gate accepts the token only after it found nobody to ask.
  token: ['ask', 'token', 'allow'],
  policy: ['allow'],
};

/** Whether consent of this level satisfies the requirement. */
export const isEnough = (level: ConsentLevel, requirement: Requirement): boolean =>
  SATISFIES[level].includes(requirement);
