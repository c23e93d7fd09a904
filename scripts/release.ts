import { validateManifest } from '@anthropic-ai/mcpb';
import { execa } from 'execa';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { publint } from 'publint';
import { messageOf } from '../src/core/errors.ts';
import { bundle } from './bundle.mjs';
import { readChangelog } from './docs/read-changelog.ts';
import { renderGeneratedFiles } from './docs/generated-files.ts';
import { IS_PUBLISHED, readProject } from './docs/project.ts';
import { runNpm } from './run-npm.mjs';

// Verifies the release preconditions and creates the tag; .github/workflows/release.yml publishes it.
//   npm run release [-- --dry-run] [--skip-check]
// `--dry-run` doesn't create the tag, `--skip-check` skips `npm test` and `npm run check`.
const root = path.resolve(import.meta.dirname, '..');
const { values } = parseArgs({ options: { 'dry-run': { type: 'boolean' }, 'skip-check': { type: 'boolean' } } });
const dryRun = values['dry-run'] === true;
const MAX_BUNDLE_BYTES = 5_000_000;

const project = await readProject(root);
const tag = `v${project.version}`;
const output = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-release-'));

/** A release precondition. Returns a note or a warning; throws if it isn't met. */
interface Step {
  readonly title: string;
  readonly run: () => Promise<string | { readonly warning: string }>;
}

const STEPS: readonly Step[] = [
  { title: 'the changelog has this version', run: checkChangelog },
  { title: 'the pages lead with the published package', run: checkPublished },
  { title: 'generated files are up to date', run: checkGenerated },
  { title: 'the lockfile has this version', run: checkLock },
  { title: 'everything is committed, and origin is the repository in package.json', run: checkGit },
  { title: 'the bundle is valid and small', run: checkBundle },
  { title: 'the package is valid', run: checkPackage },
  ...(values['skip-check'] === true ? [] : [{ title: 'npm test and npm run check', run: runChecks }]),
];

let failed = 0;
for (const { title, run } of STEPS) {
  try {
    const found = await run();
    console.log(typeof found === 'string' ? `✓ ${title}: ${found}` : `! ${title}: ${found.warning}`);
  } catch (error) {
    failed += 1;
    console.log(`✗ ${title}: ${messageOf(error)}`);
  }
}
await rm(output, { recursive: true, force: true });
if (failed > 0) {
  console.log(`${failed} of ${STEPS.length} checks failed. No tag was created.`);
  process.exitCode = 1;
} else if (dryRun) console.log(`${tag} is ready for release. No tag was created (--dry-run).`);
else {
  await execa('git', ['tag', '--annotate', tag, '--message', `dstack-mcp ${project.version}`], { cwd: root });
  console.log(`Created the tag ${tag}. Push it to publish the release: git push origin ${tag}`);
}

async function checkChangelog(): Promise<string> {
  const releases = readChangelog(await readFile(path.join(root, 'CHANGELOG.md'), 'utf8'));
  const release = releases.find(({ version }) => version === project.version);
  if (release === undefined) throw new Error(`CHANGELOG.md has no section "## [${project.version}] - <date>"`);
  if (release.date === 'unreleased' && !dryRun) throw new Error('its heading needs the release date');
  return `${release.date}, with ${release.kinds.join(', ')}`;
}

async function checkPublished(): Promise<string | { warning: string }> {
  if (IS_PUBLISHED) return 'npx';
  const problem = 'set IS_PUBLISHED in scripts/docs/project.ts, then npm run generate';
  if (dryRun) return { warning: problem };
  throw new Error(problem);
}

async function checkGenerated(): Promise<string> {
  const files = await renderGeneratedFiles(root);
  for (const { file, text } of files) {
    if ((await readFile(path.join(root, file), 'utf8')) !== text)
      throw new Error(`${file} is out of date: npm run generate`);
  }
  return files.map(({ file }) => file).join(', ');
}

async function checkLock(): Promise<string> {
  const lock: unknown = JSON.parse(await readFile(path.join(root, 'package-lock.json'), 'utf8'));
  const version = typeof lock === 'object' && lock !== null && 'version' in lock ? lock.version : undefined;
  if (version !== project.version)
    throw new Error(`it has version ${String(version)}: npm install --package-lock-only`);
  return project.version;
}

async function checkGit(): Promise<string | { warning: string }> {
  const git = async (...args: string[]): Promise<string> => (await execa('git', args, { cwd: root })).stdout.trim();
  if ((await git('tag', '--list', tag)) !== '') throw new Error(`the tag ${tag} already exists: increase the version`);
  const changed = await git('status', '--porcelain');
  const remotes = await git('remote');
  // Links, registry names and provenance are derived from this URL, so it must be the one that is pushed to.
  const origin = remotes.split('\n').includes('origin') ? await git('remote', 'get-url', 'origin') : 'not set';
  const isOurs = origin.replace(/\.git$/, '').endsWith(new URL(project.repository).pathname.slice(1));
  const problems = [
    ...(changed === '' ? [] : [`uncommitted changes:\n${changed}`]),
    ...(isOurs ? [] : [`origin is ${origin}, but package.json has ${project.repository}`]),
  ];
  if (problems.length === 0) return origin;
  if (dryRun) return { warning: problems.join('; ') };
  throw new Error(problems.join('; '));
}

async function checkBundle(): Promise<string> {
  if (!validateManifest(path.join(root, 'manifest.json'))) throw new Error('manifest.json is invalid');
  const { size } = await stat(await bundle(output));
  if (size > MAX_BUNDLE_BYTES) throw new Error(`it has ${size} bytes; at most ${MAX_BUNDLE_BYTES} are allowed`);
  return `${(size / 1_000_000).toFixed(2)} MB`;
}

async function checkPackage(): Promise<string> {
  await runNpm(['pack', '--pack-destination', output], { cwd: root });
  const tarball = await readFile(path.join(output, `${project.name}-${project.version}.tgz`));
  const { messages } = await publint({ strict: true, pack: { tarball: new Uint8Array(tarball).buffer } });
  if (messages.length > 0) throw new Error(messages.map((message) => JSON.stringify(message)).join('\n'));
  if (project.description.length > 100) throw new Error('the description is too long for the MCP registry');
  return `no publint messages; ${(tarball.length / 1_000_000).toFixed(2)} MB`;
}

async function runChecks(): Promise<string> {
  await execa('npm', ['test'], { cwd: root, stdio: 'inherit' });
  await execa('npm', ['run', 'check'], { cwd: root, stdio: 'inherit' });
  return 'both pass';
}
