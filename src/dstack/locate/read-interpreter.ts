import { constants } from 'node:fs';
import { access, open } from 'node:fs/promises';
import path from 'node:path';

const PYTHON = /^(?:python|pypy)[\d.]*$/;
const FIRST_BYTES = 4096;

/**
 * The Python interpreter that an entry script names in its first lines, or undefined where the file is no Python script or the
 * interpreter isn't there. Links aren't resolved: a virtual environment's python is a link, and works by its place.
 */
export async function readInterpreter(file: string, pathFolders: readonly string[]): Promise<string | undefined> {
  const named = interpreterNamedIn(await readStart(file).catch(() => ''));
  if (named === undefined || !PYTHON.test(path.basename(named))) return undefined;
  const places = path.isAbsolute(named) ? [named] : pathFolders.map((folder) => path.join(folder, named));
  for (const place of places) {
    const runs = await access(place, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return place;
  }
  return undefined;
}

/** The interpreter by the script's text: `#!/path/python`, `#!/usr/bin/env python3`, or the form that installers use for long paths. */
export function interpreterNamedIn(text: string): string | undefined {
  const [first = '', second = ''] = text.split(/\r?\n/, 2);
  const viaShell = /^'''exec' (?:"([^"]+)"|(\S+)) "\$0" "\$@"$/.exec(second);
  if (/^#! ?\/bin\/sh$/.test(first) && viaShell !== null) return viaShell[1] ?? viaShell[2];
  const viaEnv = /^#! ?\/usr\/bin\/env (?:-S )?([\w.]+)$/.exec(first);
  if (viaEnv !== null) return viaEnv[1];
  // Flags after the interpreter (`-I`) would be lost: such a script runs only as it is.
  return /^#! ?(\/\S+)$/.exec(first)?.[1];
}

async function readStart(file: string): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(FIRST_BYTES), 0, FIRST_BYTES, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
