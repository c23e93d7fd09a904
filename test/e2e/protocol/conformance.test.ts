import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collectEnds } from '../../support/collect-ends.ts';
import { createTestHome } from '../../support/test-home.ts';
import { openHttpEndpoint } from './http-endpoint.ts';
import { NOT_APPLYING, REVISIONS } from './not-applying.ts';
import type { Revision } from './not-applying.ts';
import { runConformance } from './run-conformance.ts';
import type { Check } from './run-conformance.ts';

/** Extensions that this server supports; a revision's own scenarios don't include them. */
const EXTENSIONS = ['sep-2640-skills-directory', 'sep-2640-skills-enumeration', 'sep-2640-skills-manifest'];

const atEnd = collectEnds(afterAll);
const checks = new Map<Revision, readonly Check[]>();

beforeAll(async () => {
  const home = await createTestHome({ atEnd });
  const endpoint = await openHttpEndpoint(home.env);
  atEnd(() => endpoint.close());
  await startDstack(endpoint.url);
  for (const revision of REVISIONS)
    checks.set(revision, await runConformance(endpoint.url, ['--suite', 'all', '--spec-version', revision]));
  const newer = [...(checks.get('2026-07-28') ?? [])];
  for (const scenario of EXTENSIONS) newer.push(...(await runConformance(endpoint.url, ['--scenario', scenario])));
  checks.set('2026-07-28', newer);
});

/** The suite waits 10 s for an answer. On a busy machine, the first start of dstack may take longer. */
async function startDstack(url: string): Promise<void> {
  const client = new Client({ name: 'conformance-test', version: '1.0.0' });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  await client.readResource({ uri: 'dstack://runs' });
  await client.close();
}

const nameOf = ({ scenario, id }: Check): string => `${scenario}:${id}`;

describe.each(REVISIONS)('the conformance suite for %s:', (revision) => {
  const listed = new Set(
    NOT_APPLYING.filter(({ revisions }) => revisions.includes(revision)).map(({ check }) => check),
  );
  const all = (): readonly Check[] => checks.get(revision) ?? [];

  test('every check that applies to this server passes', () => {
    const unmet = all().filter((check) => check.verdict === 'unmet' && !listed.has(nameOf(check)));
    expect(unmet.map((check) => `${nameOf(check)}: ${check.message}`)).toEqual([]);
  });

  test('every check that is listed as not applying was run, and fails', () => {
    const unmet = new Set(
      all()
        .filter(({ verdict }) => verdict === 'unmet')
        .map(nameOf),
    );
    expect(
      [...listed].filter((name) => !unmet.has(name)),
      'met, or gone from the suite: take it off the list',
    ).toEqual([]);
  });

  test('the common checks are among those that pass, so that something was tested', () => {
    const met = new Set(
      all()
        .filter(({ verdict }) => verdict === 'met')
        .map(({ scenario }) => scenario),
    );
    const common = ['tools-list', 'tools-call-error', 'tools-call-with-progress', 'resources-list', 'prompts-list'];
    const own = { '2026-07-28': ['server-stateless', 'caching'], '2025-11-25': ['server-initialize', 'ping'] };
    expect([...met]).toEqual(expect.arrayContaining([...common, ...own[revision]]));
  });
});
