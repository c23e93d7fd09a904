import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describeSettings } from '../../src/settings/settings.ts';
import { PROMPTS } from '../../src/mcp/prompt-definitions.ts';
import { RESOURCES } from '../../src/mcp/resource-definitions.ts';
import { tools } from '../../tools/index.ts';
import {
  renderClientFiles,
  renderEntries,
  renderFrameworks,
  renderOneClick,
  renderOwnLinks,
} from './render-clients.ts';
import { readProject } from './project.ts';
import type { Project } from './project.ts';
import { renderServerJson } from './render-server-json.ts';
import { listForManifest, listPromptsForManifest, renderToolTable, renderToolsPage } from './render-tools.ts';
import { takeSteps } from './settle-transcript.ts';
import { writeTable } from './write-table.ts';

/** A file of which at least a part is generated, as it has to be. */
export interface GeneratedFile {
  /** From the root of the repository. */
  readonly file: string;
  readonly text: string;
}

/** The steps of the demo that the README shows. */
const SHOWN_STEPS = [
  'What would this training run do and cost?',
  'Yes, run it',
  'A flag that nobody documented is refused',
];

/** Makes everything that is generated, from the code and from what is hand-written around it. */
export async function renderGeneratedFiles(root: string): Promise<readonly GeneratedFile[]> {
  const read = (file: string): Promise<string> => readFile(path.join(root, file), 'utf8');
  const [project, readme, clients, manifest, demo, frameworks] = await Promise.all([
    readProject(root),
    read('README.md'),
    read('docs/clients.md'),
    read('manifest.json'),
    read('docs/demo.txt'),
    renderFrameworks(root),
  ]);
  const oneClick = renderOneClick(project);
  const parts = {
    'one-click': oneClick,
    tools: renderToolTable(tools, 'docs/tools.md'),
    settings: renderSettings(),
    demo: ['````text', takeSteps(demo, SHOWN_STEPS), '````'].join('\n'),
  };
  const clientParts = {
    'one-click': oneClick,
    links: renderOwnLinks(project),
    files: renderClientFiles(),
    entries: renderEntries(project),
    frameworks,
  };
  return [
    { file: 'docs/tools.md', text: renderToolsPage(tools, RESOURCES, PROMPTS) },
    { file: 'README.md', text: replaceParts(readme, parts) },
    { file: 'docs/clients.md', text: replaceParts(clients, clientParts) },
    { file: 'manifest.json', text: renderManifest(manifest, project) },
    { file: 'server.json', text: renderServerJson(project, describeSettings()) },
  ];
}

function renderSettings(): string {
  return writeTable(
    ['Option', 'Environment', 'Meaning', 'Default'],
    describeSettings().map(({ option, env, meaning, default: fallback }) => [
      `\`${option}\``,
      `\`${env}\``,
      meaning,
      fallback,
    ]),
  );
}

function replaceParts(text: string, parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts).reduce((so, [name, part]) => replacePart(so, name, part), text);
}

function replacePart(text: string, name: string, part: string): string {
  const [start, end] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`There is no "${start}" with an "${end}" after it.`);
  return `${text.slice(0, from + start.length)}\n\n${part}\n\n${text.slice(to)}`;
}

/** The hand-written manifest with what `package.json` and the code say; each key keeps its place. */
function renderManifest(text: string, project: Project): string {
  const manifest: unknown = JSON.parse(text);
  if (typeof manifest !== 'object' || manifest === null) throw new Error('manifest.json holds no object.');
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
