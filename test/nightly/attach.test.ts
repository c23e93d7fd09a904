import { expect, test } from 'vitest';
import { CLIENTS } from '../support/connect.ts';
import { task, uniqueName } from '../support/test-home.ts';
import { waitForRun } from '../support/wait.ts';
import { attach, attachmentsOf, setUpAttach } from '../support/set-up-attach.ts';

const { connectOnce, home, start } = setUpAttach();

test('a development environment has a link for its editor, which is shown but not opened', async () => {
  const name = uniqueName('editor');
  const { resources } = task(name);
  await start({ type: 'dev-environment', name, ide: 'vscode', resources }, name);
  const client = await connectOnce(CLIENTS[1]);
  const attached = await attach(client, { run: name });
  const [attachment] = attachmentsOf(attached);
  expect(attachment, attached.text).toMatchObject({ state: 'attached' });
  expect(attachment?.ideLink).toMatch(new RegExp(`^vscode://vscode-remote/ssh-remote\\+${name}/`));
  expect(attached.facts['next']).toMatch(/ask the user whether to open it/);
  await client.call('attach', { action: 'stop', run: name });
});

test('attaching to a finished run is refused, with the tools to use instead', async () => {
  const name = uniqueName('over');
  const client = await connectOnce();
  await home().write(`${name}.dstack.yml`, task(name, { commands: ['exit 1'] }));
  const plan = await client.call('plan', { file: `${name}.dstack.yml` });
  await client.call('apply', { token: plan.facts['token'] });
  await waitForRun(client, name, 'finished');
  const refused = await client.call('attach', { run: name });
  expect(refused.facts).toMatchObject({ outcome: 'blocked', code: 'finished' });
  expect(refused.text).toContain(`Run ${name} is failed: there is nothing to attach to`);
  expect(refused.facts['next']).toMatch(/logs.*get/);
  const all = attachmentsOf(await client.call('attach', { action: 'list' }));
  expect(all.filter((attachment) => attachment['run'] === name)).toEqual([]);
});
