import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { connect } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import { stopRuns } from '../support/ask-server.ts';
import { inRepository } from '../support/paths.ts';

// `npm run lab -- matrix` installs it. It documents no `run get`, no `fleet get` and no `event`.
const OLD = '0.19.40';
const cli = inRepository('.cache', 'matrix', OLD, 'bin', 'dstack');

test.skipIf(!existsSync(cli))(
  `with the CLI ${OLD}, documented commands work, and others are refused with what they need`,
  async () => {
    const home = await createTestHome();
    const name = uniqueName('old');
    await home.write('old.dstack.yml', task(name));
    const client = await connect({ env: { ...home.env, DSTACK_MCP_CLI: cli } });

    const doctor = await client.call('doctor');
    expect(doctor.text).toMatch(
      /dstack 0\.19\.40 doesn't document event \(event\), fleet get \(fleet by name, delete\), run get \(get, stop, attach, delete\)/,
    );
    for (const [tool, input, command] of [
      ['get', { name }, 'run'],
      ['stop', { run: name }, 'run'],
      ['attach', { run: name }, 'run'],
      ['event', {}, 'event'],
      ['fleet', { name: 'cloud' }, 'fleet get'],
      ['delete', { type: 'fleet', name: 'cloud' }, 'fleet get'],
    ] as const) {
      const { facts } = await client.call(tool, input);
      expect(facts, tool).toMatchObject({ outcome: 'failed', code: 'cli-too-old' });
      expect(facts['summary'], tool).toMatch(new RegExp(`doesn't document \`${command}\`.*Nothing was run\\.$`));
    }

    // Its list of fleets has another format: it is shown but not parsed.
    const fleets = await client.call('fleet');
    expect(fleets.facts).toMatchObject({
      outcome: 'done',
      output: expect.stringMatching(/FLEET +INSTANCE[^]*on-prem/),
    });
    expect(fleets.facts).not.toHaveProperty('fleets');

    expect((await client.call('offer', { gpu: 'RTX4090' })).facts['total']).toBeGreaterThan(0);
    const plan = await client.call('plan', { file: 'old.dstack.yml' });
    expect(plan.facts, plan.text).toMatchObject({ outcome: 'done', operation: 'create' });
    expect(plan.facts['warnings']).toContainEqual(
      expect.stringContaining("this server can't stop it again: dstack 0.19.40 doesn't document `run get`"),
    );
    const applied = await client.call('apply', { token: plan.facts['token'] });
    try {
      expect(applied.facts, applied.text).toMatchObject({ outcome: 'done', operation: 'create' });
      expect((await client.call('ps')).facts['runs']).toContainEqual(expect.objectContaining({ name }));
      // It can't show what would be stopped, so nothing is replaced.
      await home.write('old.dstack.yml', task(name, { commands: ['echo another'] }));
      const again = await client.call('plan', { file: 'old.dstack.yml' });
      expect(again.facts, again.text).not.toHaveProperty('token');
    } finally {
      await stopRuns(name);
    }
  },
);
