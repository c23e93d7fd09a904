import * as z from 'zod';

/** Input fields shared by several tools, so that each has one name and one meaning. */

/** dstack's own rule for names of runs, fleets, volumes and gateways. */
export const resourceName = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{1,40}$/,
    'a dstack name: 2 to 41 lowercase letters, digits and hyphens, starting with a letter',
  );

export const project = z.string().min(1).max(100).optional().describe('Defaults to the configured project');

/** Flags of the installed CLI without a field in the tool, by long name. Each is checked against `--help`. */
export const extraFlags = z
  .record(z.string(), z.unknown())
  .optional()
  .describe('Other documented flags, for example {"--spot":true}; help shows them');

export const configurationFile = z.string().min(1).max(4096).describe('Path of a *.dstack.yml in the workspace');

export const confirmationToken = z.string().min(1).max(100).describe('Confirmation token returned by the preview');
