import path from 'node:path';
import { installNode, installPython } from '../lab/install-packages.ts';
import type { Host } from './hosts.ts';

const cache = path.resolve(import.meta.dirname, '../../.cache/hosts');

/** Installs a host at its pinned version into `.cache/hosts`, once, and returns the path of its program. */
export async function installHost({ id, packages, python, program }: Host): Promise<string> {
  const folder = path.join(cache, id);
  await (python === undefined ? installNode(folder, packages) : installPython(folder, packages, python));
  return path.join(folder, program);
}
