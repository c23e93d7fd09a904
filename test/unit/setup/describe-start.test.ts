import { expect, test } from 'vitest';
import { describeStart } from '../../../src/setup/setup-command.ts';

const settings = { DSTACK_MCP_READ_ONLY: 'on' };

test('an installed server is started by its path, with the Node that runs it', () => {
  const installed = { platform: 'linux', node: '/opt/my node/bin/node', server: '/opt/ä/dist/dstack-mcp.mjs' } as const;
  expect(describeStart(installed, { settings, barePath: true })).toEqual({
    command: '/opt/my node/bin/node',
    args: ['/opt/ä/dist/dstack-mcp.mjs'],
    env: settings,
  });
});

test('a server run by npx is started with npx, since its cache may be emptied', () => {
  const server = '/home/me/.npm/_npx/0a1b/node_modules/dstack-mcp/dist/dstack-mcp.mjs';
  const byNpx = { platform: 'darwin', node: '/opt/homebrew/bin/node', server } as const;
  expect(describeStart(byNpx, { settings: {}, barePath: false })).toEqual({
    command: 'npx',
    args: ['-y', 'dstack-mcp'],
    env: {},
  });
  // A desktop program finds neither npx nor the node that npx needs.
  expect(describeStart(byNpx, { settings, barePath: true })).toEqual({
    command: '/opt/homebrew/bin/npx',
    args: ['-y', 'dstack-mcp'],
    env: { PATH: '/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin', ...settings },
  });
});

test('on Windows npx is started with cmd, since it is a .cmd file', () => {
  const server = String.raw`C:\Users\me\AppData\Local\npm-cache\_npx\0a1b\node_modules\dstack-mcp\dist\dstack-mcp.mjs`;
  const byNpx = { platform: 'win32', node: String.raw`C:\Program Files\nodejs\node.exe`, server } as const;
  for (const barePath of [true, false]) {
    expect(describeStart(byNpx, { settings: {}, barePath })).toEqual({
      command: 'cmd',
      args: ['/c', 'npx', '-y', 'dstack-mcp'],
      env: {},
    });
  }
});
