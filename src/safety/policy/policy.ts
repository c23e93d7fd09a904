import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { ToolError } from '../../core/errors.ts';
import { REQUIREMENTS } from './requirement.ts';

const dollars = z.number().nonnegative();
const patterns = z.array(z.string().regex(/^[a-z0-9*][a-z0-9*_.-]*$/i, 'a name, with * for any characters')).min(1);

const requirement = z
  .enum(REQUIREMENTS)
  .describe(
    "person: a person's yes, else refused. ask: a person's yes where one can be asked, else the token. token: the token that the plan gave. allow: no question.",
  );

const requirementByPrice = z
  .strictObject({
    allow_below: dollars.describe(
      'Dollars an hour: below this price it is allowed without a question. A price that is not known counts as too high',
    ),
    otherwise: requirement,
  })
  .describe('Consent that depends on the price');

const consentRule = z.union([requirement, requirementByPrice]);

/** The policy file. Strict: a key that is not here is refused, so that a typing error can't switch a limit off. */
export const policySchema = z
  .strictObject({
    read_only: z.boolean().optional().describe('true: nothing may be changed at all'),
    max_price: dollars
      .optional()
      .describe('Dollars an hour, at most, for one run or fleet (all nodes or replicas together)'),
    max_total: dollars
      .optional()
      .describe(
        'Dollars, at most, for one run in total: price times max_duration. A run without max_duration is refused',
      ),
    max_active: dollars
      .optional()
      .describe('Dollars an hour, at most, for everything that is active in the project, the new one included'),
    backends: patterns
      .optional()
      .describe('Clouds that may be used, as dstack names them (aws, gcp, runpod). All when left out'),
    regions: patterns
      .optional()
      .describe('Regions that may be used; * stands for any characters (eu-*). All when left out'),
    projects: patterns.optional().describe('dstack projects that may be changed. All configured ones when left out'),
    types: z
      .array(z.enum(['task', 'service', 'dev-environment', 'fleet', 'volume', 'gateway']))
      .min(1)
      .optional()
      .describe('Configuration types that may be applied. All when left out'),
    operations: z
      .array(z.enum(['create', 'update', 'replace', 'stop', 'abort', 'delete']))
      .min(1)
      .optional()
      .describe('What may be done at all. Everything when left out'),
    protected: patterns
      .optional()
      .describe(
        'Names of runs, fleets, volumes and gateways that are never updated, replaced, stopped or deleted (prod-*)',
      ),
    flags: z
      .array(z.string().regex(/^--[a-z][a-z0-9-]*$/, 'a long flag such as --ssh-identity'))
      .min(1)
      .optional()
      .describe('Flags that read files, carry secrets or open ports, and that a model may give all the same'),
    consent: z
      .strictObject({
        create: consentRule.optional().describe('A new run, fleet, volume or gateway'),
        update: consentRule.optional().describe('An in-place change of something that is there'),
        replace: consentRule.optional().describe('A new one in the place of one that is stopped or lost'),
        stop: consentRule.optional().describe('Stop a run'),
        abort: consentRule.optional().describe('Stop a run at once, without a clean end'),
        delete: consentRule.optional().describe('Delete a fleet, an instance, a volume, a gateway or a finished run'),
      })
      .optional()
      .describe(
        'What each kind of change needs. DSTACK_MCP_CONFIRM holds for those left out; its value person also turns ask and token into person',
      ),
    audit: z
      .strictObject({
        max_megabytes: z
          .number()
          .positive()
          .max(1000)
          .optional()
          .describe('Size at which a new audit file is begun. 5 when left out'),
        keep_files: z
          .int()
          .min(1)
          .max(1000)
          .optional()
          .describe('How many full audit files are kept. 10 when left out'),
      })
      .optional()
      .describe('The audit log'),
  })
  .describe('What dstack-mcp may do. Every limit is checked before anything is submitted');

export type Policy = z.output<typeof policySchema>;

/** The JSON schema of the policy file, for editors. */
export function policyJsonSchema(): Record<string, unknown> {
  return { title: 'dstack-mcp policy', ...z.toJSONSchema(policySchema) };
}

/**
 * Reads the text of a policy file.
 * @throws ToolError `policy-broken` when it can't be read: nothing may be changed then.
 */
export function readPolicyText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw broken(
      file,
      `it can't be read (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown'})`,
      error,
    );
  }
}

/**
 * Parses the text of a policy file. An empty file is a mistake, not a policy without limits.
 * @throws ToolError `policy-broken` when it doesn't validate.
 */
export function parsePolicy(text: string, file: string): Policy {
  const document = parseDocument(text, { uniqueKeys: true, prettyErrors: true });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) throw broken(file, problem.message);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw broken(file, error instanceof Error ? error.message : String(error), error);
  }
  const parsed = policySchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw broken(
    file,
    parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`).join('; '),
  );
}

const broken = (file: string, why: string, cause?: unknown): ToolError =>
  new ToolError(
    'policy-broken',
    `The policy file ${file} is not valid, so no change is allowed: ${why}.`,
    'Tell the operator; the doctor tool shows it too. Reading still works.',
    { cause },
  );
