import * as z from 'zod';

export const cliIdentity = z.strictObject({
  path: z.string(),
  realpath: z.string(),
  mtimeMs: z.number(),
  size: z.number(),
  version: z.string(),
});

/** Which CLI it is: what the catalog's cache goes by. */
export type CliIdentity = Readonly<z.output<typeof cliIdentity>>;
