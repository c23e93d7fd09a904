import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';

/** Installs npm packages into their own folder, once, and returns that folder. */
export async function installNode(folder: string, packages: readonly string[]): Promise<string> {
  return once(folder, packages, async () => {
    await execa('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', folder, ...packages], {
      cwd: folder,
      stdio: ['ignore', 2, 2],
    });
  });
}

/** Installs Python packages into their own virtual environment, once, and returns its `bin` folder. */
export async function installPython(
  folder: string,
  packages: readonly string[],
  interpreter = 'python3',
): Promise<string> {
  const made = await once(folder, packages, async () => {
    await execa(interpreter, ['-m', 'venv', folder]);
    await execa(path.join(folder, 'bin/python'), [
      '-m',
      'pip',
      'install',
      '-q',
      '--disable-pip-version-check',
      ...packages,
    ]);
  });
  return path.join(made, 'bin');
}

/** The stamp is written last, so that an interrupted installation is repeated. */
async function once(folder: string, packages: readonly string[], install: () => Promise<void>): Promise<string> {
  const stamp = path.join(folder, `installed-${packages.join('-').replaceAll(/[^\w.-]/g, '_')}`);
  if (existsSync(stamp)) return folder;
  await mkdir(folder, { recursive: true });
  await install();
  await writeFile(stamp, '');
  return folder;
}
