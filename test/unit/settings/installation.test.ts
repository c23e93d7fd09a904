import { expect, test } from 'vitest';
import { nextSteps } from '../../../sandbox/demo.ts';
import { programCommand } from '../../../src/settings/installation.ts';

test.each([
  ['a clone', '/home/me/dstack-mcp/dist/dstack-mcp.mjs', 'node dist/dstack-mcp.mjs doctor'],
  [
    'a clone, from another folder',
    '/opt/dstack-mcp/dist/dstack-mcp.mjs',
    'node /opt/dstack-mcp/dist/dstack-mcp.mjs doctor',
  ],
  ['npx', '/home/me/.npm/_npx/1f/node_modules/dstack-mcp/dist/dstack-mcp.mjs', 'npx -y dstack-mcp doctor'],
  ['a global installation', '/usr/lib/node_modules/dstack-mcp/dist/dstack-mcp.mjs', 'dstack-mcp doctor'],
])('the demo of %s ends with commands that work there', (_where, server, command) => {
  expect(nextSteps(programCommand(server, '/home/me/dstack-mcp'))).toContain(` ${command}\n`);
});
