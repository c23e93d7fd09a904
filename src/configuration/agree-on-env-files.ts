import path from 'node:path';
import type { Disclosure } from '../core/change.ts';
import type { Agreements } from '../safety/consent/remembered-consents.ts';
import type { EnvFiles, NamedEnvironment } from './env-files.ts';

/** Sources of the consent to use an env file. */
export interface EnvFileScope {
  readonly envFiles: EnvFiles;
  readonly agreements: Pick<Agreements, 'covers'>;
  /** The dstack server that the values go to. */
  readonly server: string;
}

/**
 * Looks for variables that aren't set in the env files next to a configuration. Takes the values that somebody agreed to use, and
 * returns what needs consent for the others: by name and file, never by value.
 */
export async function agreeOnEnvFiles(
  { envFiles, agreements, server }: EnvFileScope,
  folder: string,
  environment: NamedEnvironment,
): Promise<{ readonly environment: NamedEnvironment; readonly open: readonly Disclosure[] }> {
  const { unset } = environment;
  const found = await envFiles.findFor(folder, unset);
  const offers = found.given.map((one) => {
    const [name = '', from = ''] = one.split(' from ');
    return { name, one, disclosure: disclose({ name, from, folder, server }) };
  });
  const covered = await Promise.all(offers.map(({ disclosure }) => agreements.covers(server, disclosure)));
  const agreed = offers.filter((_offer, index) => covered[index] === true);
  const taken = new Set(agreed.map(({ name }) => name));
  const values = Object.entries(found.values).filter(([name]) => taken.has(name));
  return {
    environment: {
      ...environment,
      values: { ...environment.values, ...Object.fromEntries(values) },
      // Files whose values aren't used decide nothing.
      files: { ...environment.files, ...(taken.size === 0 ? {} : found.files) },
      given: [...environment.given, ...agreed.map(({ one }) => one)],
      skipped: [...environment.skipped, ...found.skipped],
      unset: unset.filter((name) => !taken.has(name)),
    },
    open: offers.filter(({ name }) => !taken.has(name)).map(({ disclosure }) => disclosure),
  };
}

interface Offer {
  readonly name: string;
  readonly from: string;
  readonly folder: string;
  readonly server: string;
}

const disclose = ({ name, from, folder, server }: Offer): Disclosure => ({
  kind: 'env-file',
  subject: `${path.join(folder, from)}: ${name}`,
  action: `read the value of ${name} from the ${from} next to it, and send it to the dstack server ${server}`,
  credentials: [],
});
