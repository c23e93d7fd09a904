import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { policySchema } from '../../src/safety/policy/policy.ts';
import { ALL_SETTINGS } from '../../src/settings/settings.ts';
import { PROMPTS } from '../../src/mcp/prompts.ts';
import { RESOURCES } from '../../src/mcp/resources.ts';
import { tools } from '../../tools/index.ts';
import {
  renderClientFiles,
  renderEntries,
  renderFrameworks,
  renderHosts,
  renderOneClick,
  renderOwnLinks,
  renderSandboxCommands,
  renderSetupCommands,
} from './render-clients.ts';
import { readResults } from '../hosts/results.ts';
import { describeFields } from './describe-schema.ts';
import { EXPERIMENTS } from '../lab/experiments.ts';
import { renderLayout } from './layers.ts';
import { readProject } from './project.ts';
import type { Project } from './project.ts';
import { renderPlugins } from './render-plugins.ts';
import { renderServerJson } from './render-server-json.ts';
import { listForManifest, listPromptsForManifest, renderToolTable, renderToolsPage } from './render-tools.ts';
import { writeTable } from './write-table.ts';

/** A file that is generated, at least in part, with its up-to-date text. */
export interface GeneratedFile {
  /** Path from the root of the repository. */
  readonly file: string;
  readonly text: string;
}

/** Renders every generated file from the code and its hand-written parts. */
export async function renderGeneratedFiles(root: string): Promise<readonly GeneratedFile[]> {
  const read = (file: string): Promise<string> => readFile(path.join(root, file), 'utf8');
  const [project, readme, clients, architecture, lab, policies, manifest, frameworks, hosts] = await Promise.all([
    readProject(root),
    read('README.md'),
    read('docs/clients.md'),
    read('docs/architecture.md'),
    read('scripts/lab/README.md'),
    read('docs/policies.md'),
    read('manifest.json'),
    renderFrameworks(root),
    readResults(),
  ]);
  const oneClick = renderOneClick(project);
  const parts = {
    'one-click': oneClick,
    tools: renderToolTable(tools, 'docs/tools.md'),
    settings: renderSettings(),
    sandbox: renderSandboxCommands(project),
  };
  const clientParts = {
    'one-click': oneClick,
    setup: renderSetupCommands(project),
    links: renderOwnLinks(project),
    files: renderClientFiles(),
    entries: renderEntries(project),
    frameworks,
    hosts: renderHosts(hosts),
  };
  return [
    { file: 'docs/tools.md', text: renderToolsPage(tools, RESOURCES, PROMPTS) },
    { file: 'README.md', text: replaceParts(readme, parts) },
    { file: 'docs/clients.md', text: replaceParts(clients, clientParts) },
    { file: 'docs/architecture.md', text: replacePart(architecture, 'layout', renderLayout()) },
    { file: 'scripts/lab/README.md', text: replacePart(lab, 'experiments', renderExperiments()) },
    { file: 'docs/policies.md', text: replacePart(policies, 'keys', renderPolicyKeys()) },
    { file: 'manifest.json', text: renderManifest(manifest, project) },
    ...renderPlugins(project),
    { file: 'server.json', text: renderServerJson(project) },
  ];
}

function renderSettings(): string {
  return writeTable(
    ['Option', 'Environment', 'Meaning', 'Default'],
    ALL_SETTINGS.map(({ option, env, meaning, default: fallback }) => [
      `\`${option}\``,
      `\`${env}\``,
      meaning,
      fallback,
    ]),
  );
}

function renderPolicyKeys(): string {
  const rows = (schema: z.ZodObject, prefix = ''): (readonly string[])[] =>
    describeFields(schema, 'input').flatMap(({ name, meaning }) => {
      const field: unknown = schema.shape[name];
      const inner = field instanceof z.ZodOptional ? field.unwrap() : field;
      const key = `${prefix}${name}`;
      return [[`\`${key}\``, meaning], ...(inner instanceof z.ZodObject ? rows(inner, `${key}.`) : [])];
    });
  return writeTable(['Key', 'Meaning'], rows(policySchema));
}

function renderExperiments(): string {
  return writeTable(
    ['`npm run lab -- …`', 'What it does', 'Time', 'Network'],
    EXPERIMENTS.map(({ name, what, time, network }) => [`\`${name}\``, what, time, network ? 'yes' : 'no']),
  );
}

function replaceParts(text: string, parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts).reduce((so, [name, part]) => replacePart(so, name, part), text);
}

function replacePart(text: string, name: string, part: string): string {
  const [start, end] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`"${start}" … "${end}" is missing.`);
  return `${text.slice(0, from + start.length)}\n\n${part}\n\n${text.slice(to)}`;
}

/** Updates the manifest from `package.json` and the code. Keys keep their order. */
function renderManifest(text: string, project: Project): string {
  const manifest: unknown = JSON.parse(text);
  if (typeof manifest !== 'object' || manifest === null) throw new Error('manifest.json is not an object.');
  const generated = {
    name: project.name,
    version: project.version,
    description: project.description,
    author: { name: project.author },
    license: project.license,
    keywords: project.keywords,
    repository: { type: 'git', url: project.repository },
    homepage: project.repository,
    documentation: project.documentation,
    support: project.support,
    privacy_policies: [project.privacyPolicy],
    tools: listForManifest(tools),
    prompts: listPromptsForManifest(PROMPTS),
  };
  return `${JSON.stringify({ ...manifest, ...generated }, undefined, 2)}\n`;
}
