import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';

/** A key pair in OpenSSH's format. */
export interface SshKeyPair {
  readonly publicKey: string;
  readonly privateKey: string;
  readonly file: string;
}

/** Creates a key pair with ssh-keygen, since not every program reads the output of other generators. */
export async function createSshKey(folder: string, name: string): Promise<SshKeyPair> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, name);
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file]);
  const [publicKey, privateKey] = await Promise.all([readFile(`${file}.pub`, 'utf8'), readFile(file, 'utf8')]);
  return { publicKey, privateKey, file };
}
