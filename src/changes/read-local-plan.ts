import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { checkConfiguration } from '../configuration/check-configuration.ts';
import { decodeText } from '../configuration/configuration-text.ts';
import { agreeOnEnvFiles, environmentFor } from '../configuration/env-files.ts';
import { judgeHandOver } from '../configuration/judge-hand-over.ts';
import { readJudgedConfiguration } from '../configuration/read-configuration.ts';
import type { ApplyRequest, KnownPart } from '../core/change.ts';
import { ToolError } from '../core/errors.ts';
import { plural } from '../core/values.ts';
import { CommandFailed } from '../core/report.ts';
import type { Transcript } from '../core/transcript.ts';
import { kindOf, missingLookUp } from '../dstack/client/find-resource.ts';
import type { IsAgreed } from '../safety/consent/remembered-consents.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import { applyCommand } from './apply-command.ts';
import type { ApplyPlan, PreparedPlan } from './apply-plan.ts';
import type { ChangeCommand, PlanScope } from './planned-change.ts';

/** The part of a plan that is known before dstack is started. */
export type LocalPlan = Omit<ApplyPlan, 'plan' | 'transcript'> &
  PreparedPlan & {
    readonly options: ChangeCommand['options'];
  };

/** Reads and judges the configuration. @throws ToolError if it can't be read, or if the policy or the hand-over forbids the plan */
export async function readLocalPlan(
  { dstack, policy, workspace, envFiles, agreements, maxUploadBytes }: PlanScope,
  asked: ApplyRequest,
): Promise<LocalPlan> {
  const file = await workspace.readConfiguration(asked.file);
  const cli = await dstack.cli();
  const read = await readJudgedConfiguration(cli, file);
  const { type: kind, name } = read;
  if (kind === 'preset') throw presetRefused(file.relativePath);
  // Before dstack runs: even a plan hands files over to the project.
  const endpoint = await dstack.endpoint(asked.project);
  policy.assertResourceAllowed({ kind, name, project: endpoint.project });
  const { command, flags, chosenName } = await applyCommand({ ...cli, policy }, asked, { file, head: read });
  const request = { ...asked, chosenName };
  const head = { ...read, name: name ?? chosenName };
  const named = await environmentFor({ envFiles, cli: () => dstack.cli() }, file, {
    head,
    extraFlags: request.extraFlags,
  });
  const { server } = endpoint;
  const folder = path.dirname(file.realPath);
  const requirement = policy.requirementFor({ operation: 'send', binding: { mostPerHour: null } });
  const isAgreed: IsAgreed = (disclosure) => agreements.covers({ server, requirement }, disclosure);
  const { environment, open } = await agreeOnEnvFiles({ envFiles, isAgreed, server }, folder, named);
  const judgedParts = await judgeHandOver(
    { cli, folders: workspace.folders, policy, isAgreed, server, maxUploadBytes },
    { file, value: head.value, environment },
  );
  // dstack would fail on the first of these variables; if another is set nowhere, consent wouldn't help.
  const isAsked = open.length > 0 && open.length === environment.unset.length && !policy.readOnly;
  const handOver = isAsked ? { ...judgedParts, open: [...judgedParts.open, ...open], mustAsk: true } : judgedParts;
  const options = {
    cwd: file.folder,
    env: environment.values,
    pinnedFile: { path: file.realPath, bytes: file.bytes },
    credentials: handOver.credentials,
    archives: handOver.archives,
    chosenName,
  };
  const { hashes: profiles, texts: profileTexts } = await workspace.readProfiles(file.folder);
  const missing = await missingLookUp(cli.catalog, kindOf(head.type));
  const judged = { request, file, head, endpoint, cliVersion: cli.version, missingLookUp: missing, environment };
  return { ...judged, handOver, command, flags, options, profiles, profileTexts };
}

/** Returns the part of the change that is compared before dstack is started. */
export function knownPart(
  { file, profiles, environment, handOver, ...local }: LocalPlan,
  argv: readonly string[],
): KnownPart {
  const { project, server } = local.endpoint;
  const files = { ...handOver.hashes, [file.realPath]: file.sha256, ...profiles, ...environment.files };
  return { argv, binding: { project, server, cliVersion: local.cliVersion, cwd: file.folder, files } };
}

/** dstack creates a preset by an agent that it stays attached to (cli/services/configurators/preset.py): no call lasts that long. */
const presetRefused = (file: string): ToolError =>
  new ToolError(
    'invalid-file',
    `${file} is a preset, which dstack can't create detached: it runs an agent on this computer and stays attached to it, possibly for hours. Nothing was run.`,
    `The user can run \`dstack apply -f ${file}\` in a terminal; list with type "presets" shows the existing ones.`,
  );

/** Whether dstack needs a credential that nobody agreed to send, which the gate kept here. */
export const keptCredential = ({ handOver }: LocalPlan, { requests = [] }: Transcript): boolean =>
  handOver.open.length > 0 && requests.some((one) => one.event === 'denied' && one.credential === true);

/** Records what a plan sends before it does. @throws ToolError `audit-unavailable`: nothing is sent then */
export async function recordSent({ dstack, audit }: PlanScope, local: LocalPlan): Promise<void> {
  const { handOver, head, endpoint, command, file } = local;
  if (handOver.sends.length === 0) return;
  const { argv } = await dstack.check(command);
  audit.write({
    id: randomBytes(4).toString('hex'),
    event: 'planned',
    tool: 'plan',
    operation: 'plan',
    resource: { kind: head.type, name: head.name },
    ...endpoint,
    argv,
    files: { ...handOver.hashes, [file.realPath]: file.sha256 },
    pricePerHour: null,
    sends: handOver.sends,
  });
}

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
