import { DSTACK_VERSION, OLDER_DSTACK_VERSION } from '../../sandbox/python-environment.ts';

/** The versions of a CLI and of the server that it talks to. */
export interface Pair {
  readonly cli: string;
  readonly server: string;
}

/** A release whose `--help` doesn't document what every tool needs. */
const TOO_OLD = '0.19.40';

/** The newest release of each minor version, oldest first. The last one is the default. */
const VERSIONS: readonly string[] = [TOO_OLD, '0.20.29', OLDER_DSTACK_VERSION, DSTACK_VERSION];

/** Returns the tests for a pair: all end-to-end tests, or the test of the error message for pairs that can't work. */
export function testsFor({ cli, server }: Pair): readonly string[] {
  if (cli === TOO_OLD) return ['test/nightly/too-old-cli.test.ts'];
  // dstack's server rejects a CLI of a newer minor version (server/utils/routers.py).
  const isNewer = lineOf(cli).localeCompare(lineOf(server), 'en', { numeric: true }) > 0;
  return [isNewer ? 'test/nightly/newer-cli.test.ts' : 'test/e2e'];
}

/** `0.21` of `0.21.5`. */
const lineOf = (version: string): string => version.split('.').slice(0, 2).join('.');

/** Returns each version with itself and with the next one, in both directions. */
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

/** Returns each CLI with each server. A missing side defaults to the version of the other. */
export function choosePairs(clis: readonly string[], servers: readonly string[]): Pair[] {
  if (clis.length === 0 && servers.length === 0) return defaultPairs();
  if (servers.length === 0) return clis.map(fullVersion).map((version) => ({ cli: version, server: version }));
  if (clis.length === 0) return servers.map(fullVersion).map((version) => ({ cli: version, server: version }));
  return clis.flatMap((cli) => servers.map((server) => ({ cli: fullVersion(cli), server: fullVersion(server) })));
}

/** Expands `0.21` to its newest release. A full version is returned unchanged, even if it isn't on the list. */
function fullVersion(wanted: string): string {
  if (/^\d+\.\d+\.\d+\w*$/.test(wanted)) return wanted;
  const found = VERSIONS.find((version) => version.startsWith(`${wanted}.`));
  if (found === undefined) throw new Error(`dstack ${wanted} is not on the list: ${VERSIONS.join(', ')}`);
  return found;
}
