import { access } from 'node:fs/promises';
import { diffTexts } from '../configuration/edit-text.ts';
import { ToolError } from '../core/errors.ts';
import type { Places } from './client-files.ts';
import { applyFileChange, readClientFile } from './client-file.ts';
import type { ClientFile } from './client-file.ts';
import { CLIENTS } from './clients.ts';
import { UneditableText, UnreadableText } from './config-editor.ts';
import { EDITORS } from './editors.ts';
import { planSetup, planUndo } from './plan-setup.ts';
import type { FileChange } from './plan-setup.ts';
import { describeStart } from './server-start.ts';
import type { Installation } from './server-start.ts';
import type { SetupLine } from './setup-line.ts';

export interface SetupCommandOptions {
  readonly places: Places;
  readonly installation: Installation;
  readonly print: (text: string) => void;
  /** Asks the person; without it there is nobody to ask. */
  readonly ask: ((question: string) => Promise<boolean>) | undefined;
}

type SetupOrder = Extract<SetupLine, { kind: 'setup' }>;

/**
 * Enters this server in a client's configuration, or takes it out again: shows the difference, asks, backs up, writes. Gives the
 * exit code: 0 where all is as it was asked for, 1 where the person said no.
 * @throws ToolError where the file isn't sound, or nobody can be asked: nothing was changed then.
 */
export async function runSetup(
  line: Exclude<SetupLine, { kind: 'help' }>,
  options: SetupCommandOptions,
): Promise<number> {
  if (line.kind === 'list') return listClients(options);
  const { print, ask } = options;
  const file = await readClientFile(line.file ?? line.client.file(options.places));
  const change = planChange(line, file, options.installation);
  if (change.kind === 'none') {
    print(`${file.path}: ${change.why} Nothing was changed.`);
    return 0;
  }
  print(showChange(file, change));
  if (line.dryRun) {
    print('Nothing was changed (--dry-run).');
    return 0;
  }
  if (!line.yes) {
    if (ask === undefined) throw nobodyToAsk();
    if (!(await ask(change.kind === 'remove' ? 'Remove this file?' : 'Write this?'))) {
      print('Nothing was changed.');
      return 1;
    }
  }
  await applyFileChange(file, change);
  print(`${change.kind === 'remove' ? 'Removed' : 'Wrote'} ${file.path}.`);
  if (change.kind === 'write' && change.backUp) print(`As it was: ${file.backupPath}`);
  print(line.undo ? 'Restart the client.' : `${line.client.next} Take it out with --undo.`);
  return 0;
}

function planChange(line: SetupOrder, file: ClientFile, installation: Installation): FileChange {
  const { client, name, settings } = line;
  const editor = EDITORS[client.format];
  const place = { key: client.key, name };
  const entry = client.entry(name, describeStart(installation, { settings, barePath: client.barePath }));
  try {
    return line.undo ? planUndo(file.texts, { editor, place }) : planSetup(file.texts, { editor, place, entry });
  } catch (error) {
    if (error instanceof UnreadableText)
      throw new ToolError(
        'invalid-file',
        `${file.path}, line ${error.line}: ${error.message}. Nothing was changed.`,
        'Mend the file, then run this again.',
        { cause: error },
      );
    if (error instanceof UneditableText)
      throw new ToolError(
        'invalid-file',
        `${file.path} can't be edited without touching what is yours: ${error.message}. Nothing was changed.`,
        line.undo ? `Take ${client.key}.${name} out by hand.` : `Enter it by hand:\n\n${editor.show(place, entry)}`,
        { cause: error },
      );
    throw error;
  }
}

function showChange(file: ClientFile, change: Exclude<FileChange, { kind: 'none' }>): string {
  if (change.kind === 'remove') return `${file.path} holds nothing else, and would be removed:\n${change.before}`;
  return diffTexts(file.path, change.before, change.after);
}

async function listClients({ places, print }: SetupCommandOptions): Promise<number> {
  for (const { id, title, file, trace } of CLIENTS) {
    const isHere = await exists(trace(places));
    print(`${isHere ? '✓' : ' '} ${id.padEnd(15)} ${title.padEnd(28)} ${file(places)}`);
  }
  print('\n✓ is here. Enter this server with: dstack-mcp setup <client>');
  return 0;
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

const nobodyToAsk = (): ToolError =>
  new ToolError(
    'person-needed',
    'This is no terminal, so nobody can be asked. Nothing was changed.',
    'Run it in a terminal, or with --yes where the difference above is what you want; --dry-run only shows it.',
  );
