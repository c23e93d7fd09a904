import { checkConfiguration } from '../configuration/check-configuration.ts';
import { decodeText } from '../configuration/parse-text.ts';
import { ToolError } from '../core/errors.ts';
import { plural } from '../core/format-values.ts';
import { CommandFailed } from '../core/report.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import type { PlanScope } from './planned-change.ts';

/** Replaces dstack's refusal of an invalid file by all of its problems, each with its line and fix. Returns any other refusal unchanged. */
export async function explainInvalidFile(
  { dstack, envFiles }: Pick<PlanScope, 'dstack' | 'envFiles'>,
  file: ConfigurationFile,
  failed: CommandFailed,
): Promise<CommandFailed> {
  if (failed.report.facts['code'] !== 'invalid-file') return failed;
  const { relativePath: shownPath, sha256: hash, folder } = file;
  const sources = { envFiles, cli: () => dstack.cli() };
  const request = { text: decodeText(file.bytes, shownPath), shownPath, folder };
  const checked = await checkConfiguration(sources, request).catch((error: unknown) => {
    // dstack's own words are enough if its parser can't be asked.
    if (error instanceof ToolError) return undefined;
    throw error;
  });
  if (checked === undefined || checked.verdict === 'valid') return failed;
  const { verdict, problems, omitted, transcript } = checked;
  return new CommandFailed({
    ...failed.report,
    summary: `${shownPath} is ${verdict}: ${plural(problems.length + omitted, 'problem')}. Nothing was planned.`,
    printed: [{ transcript }],
    facts: { ...failed.report.facts, hash },
    next: 'Fix all of them in one call of write_config with `edits` and this hash as `expected_hash`, then plan again.',
  });
}
