import { DSTACK_VERSION, OLDER_DSTACK_VERSION } from '../../sandbox/python-environment.ts';

/** A CLI, and the server that it talks to, by their versions. */
export interface Pair {
  readonly cli: string;
  readonly server: string;
}

/** A release that documents too little for all of the tools. */
const TOO_OLD = '0.19.40';

/** The newest of each line of releases that is tried, the oldest first. The last is the one that the project is made for. */
const VERSIONS: readonly string[] = [TOO_OLD, '0.20.29', OLDER_DSTACK_VERSION, DSTACK_VERSION];

/** The tests for a pair: all that a person can do with it, or, where that is nothing or too little, that they are told so. */
export function testsFor({ cli, server }: Pair): readonly string[] {
  if (cli === TOO_OLD) return ['test/versions/too-old-cli.test.ts'];
  // dstack's server refuses a CLI of a newer line than its own (server/utils/routers.py).
  const isNewer = lineOf(cli).localeCompare(lineOf(server), 'en', { numeric: true }) > 0;
  return [isNewer ? 'test/versions/newer-cli.test.ts' : 'test/e2e'];
}

/** `0.21` of `0.21.5`. */
const lineOf = (version: string): string => version.split('.').slice(0, 2).join('.');

/** Each version against itself, and each against the next one, both ways. */
function defaultPairs(): Pair[] {
  const alike = VERSIONS.map((version) => ({ cli: version, server: version }));
  const crossed = VERSIONS.flatMap((older, index) => {
    const newer = VERSIONS[index + 1];
    return newer === undefined
      ? []
      : [
          { cli: older, server: newer },
          { cli: newer, server: older },
        ];
  });
  return [...alike, ...crossed];
}

/** The pairs that are asked for: each CLI with each server, a side that isn't named being the same as the other. */
export function choosePairs(clis: readonly string[], servers: readonly string[]): Pair[] {
  if (clis.length === 0 && servers.length === 0) return defaultPairs();
  if (servers.length === 0) return clis.map(fullVersion).map((version) => ({ cli: version, server: version }));
  if (clis.length === 0) return servers.map(fullVersion).map((version) => ({ cli: version, server: version }));
  return clis.flatMap((cli) => servers.map((server) => ({ cli: fullVersion(cli), server: fullVersion(server) })));
}

/** `0.21` stands for the newest of its line; a whole version is taken as it is, also one that is not on the list. */
function fullVersion(wanted: string): string {
  if (/^\d+\.\d+\.\d+\w*$/.test(wanted)) return wanted;
  const found = VERSIONS.find((version) => version.startsWith(`${wanted}.`));
  if (found === undefined) throw new Error(`there is no dstack ${wanted} on the list: ${VERSIONS.join(', ')}`);
  return found;
}
