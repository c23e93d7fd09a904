import { NEED_NAMES } from './read-need.ts';
import type { SchemaIndex } from './schema-index.ts';
import { startFile } from './starting-file.ts';
import type { StartingFile } from './starting-file.ts';
import { ToolError } from '../core/errors.ts';
import type { Checked } from './check-configuration.ts';
import type { ConfigurationService } from './configuration-service.ts';
import { unknownName } from './reference.ts';

/** A first configuration, with dstack's verdict on it. */
export interface Started extends StartingFile {
  readonly checked: Checked;
}

/**
 * Makes a first file of a type from a few words of need, and has dstack's parser judge it.
 * @throws ToolError `invalid-input` where there is no such type, or no word of the need is understood.
 */
export async function startConfiguration(
  { index, check }: { index: SchemaIndex; check: ConfigurationService['check'] },
  type: string,
  need: string,
): Promise<Started> {
  const started = startFile(index, type, need);
  if (started === undefined) throw unknownName(index, type);
  if (!started.isAnswer)
    throw new ToolError(
      'invalid-input',
      `No word of \`need\` is understood for a ${type}. Nothing was made.`,
      `Name what it takes, as in "gpu A100:2 image org/image:tag port 8000": ${NEED_NAMES.join(', ')}.`,
    );
  return { ...started, checked: await check({ text: started.text, shownPath: `${type}.dstack.yml` }) };
}
