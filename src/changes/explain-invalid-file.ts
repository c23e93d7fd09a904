import { checkConfiguration } from '../configuration/check-configuration.ts';
import { decodeText } from '../configuration/configuration-text.ts';
import { ToolError } from '../core/errors.ts';
import { plural } from '../core/format-values.ts';
import { CommandFailed } from '../core/report.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import type { PlanScope } from './planned-change.ts';

/** Replaces dstack's refusal of an invalid file by all of its problems, each with its line and fix. Returns any other refusal unchanged. */
export async function explainInvalidFile(
  scope: Scope,
  file: ConfigurationFile,
  failed: CommandFailed,
): Promise<CommandFailed> {
  const { code } = failed.report.facts;
  if (code !== 'invalid-file') return failed;
  const found = await findProblems(scope, file);
  if (found === undefined) return failed;
  return new CommandFailed({
    ...failed.report,
    ...found,
    summary: `${found.summary}. Nothing was planned.`,
    facts: { ...failed.report.facts, ...found.facts },
  });
}

/** Explains the same way why an unchanged file isn't planned again. Returns any other error unchanged. */
export async function explainRefusedRetry(scope: Scope, file: ConfigurationFile, refusal: unknown): Promise<unknown> {
  if (!(refusal instanceof ToolError) || refusal.code !== 'retry-refused') return refusal;
  const found = await findProblems(scope, file);
  if (found === undefined) return refusal;
  return new CommandFailed({
    ...found,
    outcome: 'refused',
    summary: `${found.summary}, as in the last plan: the file is unchanged. It was not planned again.`,
    facts: { code: refusal.code, ...found.facts },
  });
}

type Scope = Pick<PlanScope, 'dstack' | 'envFiles'>;

/** Returns the problems of a file as a part of a report; undefined if dstack's parser finds none, or can't be asked. */
async function findProblems({ dstack, envFiles }: Scope, file: ConfigurationFile) {
  const { relativePath: shownPath, sha256: hash, folder } = file;
  const sources = { envFiles, cli: () => dstack.cli() };
  const request = { text: decodeText(file.bytes, shownPath), shownPath, folder };
  const checked = await checkConfiguration(sources, request).catch((error: unknown) => {
    // dstack's own words are enough if its parser can't be asked.
    if (error instanceof ToolError) return undefined;
    throw error;
  });
  if (checked === undefined || checked.verdict === 'valid') return undefined;
  const { verdict, problems, omitted, transcript } = checked;
  return {
    summary: `${shownPath} is ${verdict}: ${plural(problems.length + omitted, 'problem')}`,
    printed: [{ transcript }],
    facts: { hash },
    next: 'Fix all of them in one call of write_config with `edits` and this hash as `expected_hash`, then plan again.',
  };
}
