import { once } from 'node:events';
import { Namespace } from './namespace.ts';

/** Whether this system can run the commands of containers isolated from everything else. */
export type Isolation =
  | { readonly kind: 'namespaces' }
  /** Only a few commands are answered, and nothing is executed. */
  | { readonly kind: 'none'; readonly reason: string };

/** Tries it with a container that ends at once. */
export async function findIsolation(): Promise<Isolation> {
  if (process.platform !== 'linux') return { kind: 'none', reason: 'isolated containers need Linux' };
  try {
    const namespace = await Namespace.create({
      hostName: 'probe',
      diskBytes: 2 ** 20,
      profile: '',
      gpus: '',
      workingFolder: '/workflow',
    });
    try {
      const child = namespace.spawn(['true'], {});
      const [exitCode] = await once(child, 'exit');
      if (exitCode !== 0) throw new Error(`a first command ended with ${String(exitCode)}`);
    } finally {
      await namespace.end();
    }
    return { kind: 'namespaces' };
  } catch (error) {
    return { kind: 'none', reason: error instanceof Error ? error.message : String(error) };
  }
}
