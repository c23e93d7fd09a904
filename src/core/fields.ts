import * as z from 'zod';

/** Input fields that several tools share, so that one thing has one name and one meaning everywhere. */

/** dstack's own rule for names of runs, fleets, volumes and gateways. */
export const resourceName = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{1,40}$/,
    'a dstack name: small letters, digits and hyphens, 2 to 41 of them, starting with a letter',
  );

export const project = z.string().min(1).max(100).optional().describe('A project other than the default');

/** Flags of the installed CLI that the tool has no field for, by their long name. Each is checked against `--help`. */
export const extraFlags = z
  .record(z.string(), z.unknown())
  .optional()
  .describe('Other documented flags, as {"--spot":true}; help shows them');

export const configurationFile = z.string().min(1).max(4096).describe('Path of a *.dstack.yml inside the workspace');

export const confirmationToken = z.string().min(1).max(100).describe('The token that the preview gave, unchanged');
