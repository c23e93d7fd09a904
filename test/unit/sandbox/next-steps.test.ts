import { expect, test } from 'vitest';
import { nextSteps } from '../../../sandbox/demo.ts';

test.each([
  ['a clone', '/home/me/dstack-mcp/dist/dstack-mcp.mjs', 'node dist/dstack-mcp.mjs doctor'],
  ['npx', '/home/me/.npm/_npx/1f/node_modules/dstack-mcp/dist/dstack-mcp.mjs', 'npx -y dstack-mcp doctor'],
])('the demo of %s ends with commands that work there', (_where, server, command) => {
  expect(nextSteps(server, '/home/me/dstack-mcp')).toContain(` ${command}\n`);
});
