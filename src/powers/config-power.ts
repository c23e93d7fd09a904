import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { nearestNames } from '../cli/nearest-names.ts';
import type { Introspection, Verdict } from '../cli/warm-introspection.ts';
import type { Transcript } from '../cli/runner.ts';
import { advise, namedVariables } from '../config/advise.ts';
import type { Advice } from '../config/advise.ts';
import { describableNames, describeProperty } from '../config/describe.ts';
import { diagnose, findIgnored, mendNames } from '../config/diagnose.ts';
import type { Evidence, Problem } from '../config/diagnose.ts';
import { decodeText, parseText } from '../config/parse-text.ts';
import { renderAdvice, renderProblems } from '../config/render-problems.ts';
import { createSchemaIndex, isRecord } from '../config/schema-index.ts';
import type { SchemaIndex } from '../config/schema-index.ts';
import type { Cli } from '../cli-finder.ts';
import { ToolError } from '../errors.ts';
import type { AuditSink } from '../safety/audit-entry.ts';
import type { Workspace } from '../safety/workspace.ts';

import { writeConfiguration } from './config-write.ts';
import type { WriteRequest, Written } from './config-write.ts';

/** What a configuration came to. */
export interface Checked {
  readonly verdict: 'valid' | 'invalid' | 'unreadable';
  readonly problems: readonly Problem[];
  readonly advice: readonly Advice[];
  /** Variables that it names, and that are set nowhere that dstack would see. */
  readonly unsetVariables: readonly string[];
  /** All of it, as it is shown. */
  readonly transcript: Transcript;
}

/** A configuration in the workspace. */
export interface FoundConfiguration {
  readonly path: string;
  readonly type: string;
  readonly name: string;
}

/** Judging, describing and finding configurations. */
export interface ConfigPower {
  /** The verdict of dstack's own parser on a text, with every problem in its place. */
  check(text: string, shownPath: string): Promise<Checked>;
  /** Reads a file of the workspace, with the hash that a later write has to name. */
  read(file: string): Promise<{ readonly text: string; readonly hash: string }>;
  /** @throws ToolError `invalid-input` with the nearest names. */
  describe(property: string): Promise<Transcript>;
  find(): Promise<readonly FoundConfiguration[]>;
  /** Writes a configuration, if dstack's parser finds it valid. */
  write(request: WriteRequest): Promise<Written>;
}

const indexes = new WeakMap<Introspection, Promise<SchemaIndex | undefined>>();

/** What it goes by: the workspace, and dstack's interpreter. */
export interface ConfigSources {
  readonly workspace: Workspace;
  readonly audit: AuditSink;
  cli(): Promise<Pick<Cli, 'introspection' | 'env'>>;
}

/** Creates the power of one call. */
export function createConfigPower(engine: ConfigSources): ConfigPower {
  const power: ConfigPower = {
    async check(text, shownPath) {
      const parsed = parseText(text, shownPath);
      const { introspection: dstack, env } = await engine.cli();
      const index = await readIndex(dstack);
      const ask = (asked: string) => dstack.validate({ kind: 'configuration', text: asked });
      // A misspelt property hides other problems from dstack's parser: it is asked for those with the names mended as well.
      const mended = mendNames({ parsed, index, nearest: nearestNames });
      const [verdict, hidden] = await Promise.all([
        ask(text),
        mended === undefined ? undefined : ask(JSON.stringify(mended)),
      ]);
      if (verdict === undefined) throw notJudged();
      const evidence: Evidence = { parsed, verdict, index, nearest: nearestNames };
      const problems = withHidden(evidence, hidden);
      const advice = verdict.verdict === 'unreadable' ? [] : [...advise(parsed), ...ignoredAdvice(evidence)];
      const parts = [renderProblems(text, shownPath, problems), renderAdvice(shownPath, advice)].filter(Boolean);
      const verbatim = verdict.text === '' ? [] : [`dstack's own words:\n${verdict.text}`];
      return {
        verdict: verdict.verdict,
        problems,
        advice,
        unsetVariables: namedVariables(parsed.value).filter((name) => env[name] === undefined),
        transcript: shownAs(`validate ${shownPath}`, [...parts, ...verbatim].join('\n\n')),
      };
    },
    async read(file) {
      const { bytes, sha256 } = await engine.workspace.readConfiguration(file);
      return { text: decodeText(bytes, file), hash: sha256 };
    },
    async describe(property) {
      const index = await readIndex((await engine.cli()).introspection);
      if (index === undefined) throw notJudged();
      const text = describeProperty(index, property);
      if (text !== undefined) return shownAs(`describe ${property}`, text);
      const near = nearestNames(property, describableNames(index));
      throw new ToolError(
        'invalid-input',
        `The installed dstack (${index.version}) has no type or property ${JSON.stringify(property)}.`,
        near.length > 0 ? `Did you mean ${near.join(' or ')}?` : `Types: ${index.types.join(', ')}, profiles.`,
      );
    },
    find: () => findConfigurations(engine),
    write: (request) =>
      writeConfiguration(
        { workspace: engine.workspace, audit: engine.audit, check: (text, file) => power.check(text, file) },
        request,
      ),
  };
  return power;
}

/** The schema is read once for each installed dstack; a failure isn't kept. */
async function readIndex(introspection: Introspection): Promise<SchemaIndex | undefined> {
  const known = indexes.get(introspection);
  if (known !== undefined) return known;
  const index = introspection
    .schemas()
    .then((schemas) => (schemas === undefined ? undefined : createSchemaIndex(schemas)));
  indexes.set(introspection, index);
  const found = await index.catch(() => undefined);
  if (found === undefined) indexes.delete(introspection);
  return found;
}

/** The problems of a configuration, with those that its misspelt names hid. */
function withHidden(evidence: Evidence, hidden: Verdict | undefined): readonly Problem[] {
  const problems = diagnose(evidence);
  if (evidence.verdict.verdict !== 'invalid' || hidden?.verdict !== 'invalid') return problems;
  const places = new Set(problems.map((problem) => problem.path));
  const more = diagnose({ ...evidence, verdict: hidden }).filter(
    ({ path: place, dstack }) => dstack !== undefined && !places.has(place),
  );
  return [...problems, ...more].sort((a, b) => a.position.line - b.position.line);
}

function ignoredAdvice(evidence: Evidence): readonly Advice[] {
  if (evidence.verdict.verdict !== 'valid') return [];
  return findIgnored(evidence).map(({ position, path: place, mend }) => ({
    id: 'ignored-property',
    line: position.line,
    why: `dstack reads this file without complaint, but takes no notice of \`${place}\`.`,
    how: mend,
  }));
}

const MAX_FILES = 200;
const MAX_DEPTH = 6;

async function findConfigurations({ workspace }: ConfigSources): Promise<readonly FoundConfiguration[]> {
  const files = (await Promise.all(workspace.folders.map((folder) => listFiles(folder)))).flat().slice(0, MAX_FILES);
  return Promise.all(
    files.map(async (file) => {
      const value = await workspace.readConfiguration(file).then(
        ({ bytes }) => parseText(decodeText(bytes, file), file).value,
        () => undefined,
      );
      const record = isRecord(value) ? value : {};
      return {
        path: file,
        type: typeof record['type'] === 'string' ? record['type'] : 'unreadable',
        name: typeof record['name'] === 'string' ? record['name'] : '',
      };
    }),
  );
}

/** Level by level, without the folders that hold other people's code, and without links. */
async function listFiles(root: string): Promise<string[]> {
  const found: string[] = [];
  let folders = [root];
  for (let depth = 0; depth < MAX_DEPTH && folders.length > 0 && found.length < MAX_FILES; depth++) {
    const next: string[] = [];
    for (const folder of folders.slice(0, 500)) {
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
      for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
        const place = path.join(folder, entry.name);
        if (entry.isDirectory() && !/^\.|^(?:node_modules|venv|__pycache__|dist)$/.test(entry.name)) next.push(place);
        if (entry.isFile() && /\.dstack\.ya?ml$/.test(entry.name)) found.push(place);
      }
    }
    folders = next;
  }
  return found;
}

const shownAs = (command: string, stdout: string): Transcript => ({
  command: `config ${command}`,
  stdout,
  stderr: '',
  omittedBytes: 0,
  exit: { kind: 'exited', code: 0 },
  durationMs: 0,
  ran: 'plain',
});

const notJudged = (): ToolError =>
  new ToolError(
    'cli-not-understood',
    "dstack's own parser can't be asked: the installed dstack is no Python script, or didn't answer.",
    'The plan tool still shows what dstack says about a file. The doctor tool shows which dstack is used.',
  );
