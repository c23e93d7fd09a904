import * as z from 'zod';
import { ToolError } from './errors.ts';
import { AWAITED } from './dstack-terms.ts';

/** Input fields shared by several tools, so that each has one name and one meaning. */

/** dstack's own rule for names of runs, fleets, volumes and gateways. */
export const resourceName = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{1,40}$/,
    'a dstack name: 2 to 41 lowercase letters, digits and hyphens, starting with a letter',
  );

/** One or several names. Each is shown to the person who approves, so there are few. */
export const resourceNames = z.array(resourceName).min(1).max(10);

/** One or several runs to read. Together they have to fit into one answer. */
export const runNames = z.array(resourceName).min(1).max(4);

/** Defaults to the configured project. Most tools have it, so the list doesn't describe it. */
export const project = z.string().min(1).max(100).optional();

/** One of the jobs of a run. */
export const jobChoice = { replica: z.int().min(0).optional(), job: z.int().min(0).optional() };

/** Flags of the installed CLI without a field in the tool, by long name. Each is checked against `--help`. */
export const extraFlags = z.record(z.string(), z.unknown()).optional();

/** Fields for what a user says about the machine, alike for plan and offer. */
export const choices = {
  gpu: z
    .string('NAME:COUNT:MEMORY, for example "A100" or "H100:8"')
    .max(200)
    .optional()
    .describe('NAME:COUNT:MEMORY: "A100", "H100:8", "24GB.."'),
  spot: z.enum(['spot', 'on-demand', 'auto']).optional(),
  max_price: z.number().positive().optional(),
  // Of another project, as in `team/cloud`, too.
  fleet: z.array(z.string().max(200)).optional(),
};

type Choices = z.output<z.ZodObject<typeof choices>>;
type Flags = Readonly<Record<string, unknown>>;

/** Returns dstack's flags for what a user says about the machine. */
export const choiceFlags = ({ gpu, spot, max_price: price, fleet }: Choices) => ({
  '--gpu': gpu,
  '--spot-policy': spot,
  '--max-price': price,
  '--fleet': fleet,
});

/** Adds the flags of named arguments to other flags. @throws ToolError `invalid-input` if one is given twice */
export function withChoices(flags: Flags | undefined, chosen: Flags): Flags | undefined {
  const given = Object.entries(chosen).filter(([, value]) => value !== undefined);
  const twice = given.map(([name]) => name).filter((name) => flags !== undefined && Object.hasOwn(flags, name));
  if (twice.length > 0)
    throw new ToolError(
      'invalid-input',
      `${twice.join(', ')} is in \`flags\`, and so is an argument for it. Nothing was run.`,
      'Pass each only once.',
    );
  return given.length === 0 ? flags : { ...flags, ...Object.fromEntries(given) };
}

/** The list names the states that are worth waiting for; the others are accepted. */
export const awaitedState = z
  .enum(AWAITED)
  .optional()
  .meta({ enum: ['running', 'ready', 'finished'] });

/** States that a run which was just submitted can be waited for. */
export const nextState = z.enum(['ready', 'running', 'finished']).optional();

export const configurationFile = z.string().min(1).max(4096).describe('A *.dstack.yml');

export const confirmationToken = z.string().min(1).max(200);
