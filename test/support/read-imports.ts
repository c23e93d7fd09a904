import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from './paths.ts';

const root = repositoryRoot;

/** One import of a source file. */
export interface Import {
  /** The importing file, from the root of the repository. */
  readonly from: string;
  /** A file from the root of the repository, or the name of a package or of a Node module. */
  readonly to: string;
  readonly kind: 'value' | 'type' | 'lazy';
}

export interface SourceFile {
  readonly file: string;
  /** Without comments. */
  readonly code: string;
  readonly imports: readonly Import[];
}

/** Reads every source file below some folders, in the order of their names. @throws Error on an import that it can't read */
export function readSources(folders: readonly string[]): readonly SourceFile[] {
  return folders
    .flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true }).map((name) => path.join(folder, String(name))),
    )
    .filter((file) => /\.(ts|mjs)$/.test(file))
    .map((file) => file.replaceAll('\\', '/'))
    .sort()
    .map(readSource);
}

const STATIC = /^(?:import|export)\s+(?:(type)\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
const LAZY = /\bimport\(\s*'([^']+)'\s*\)/g;

function readSource(file: string): SourceFile {
  const text = readFileSync(path.join(root, file), 'utf8');
  // A comment starts a line or follows code after a space; inside a string, `//` follows a colon.
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/ .*$/gm, '$1');
  const imports = [
    ...[...code.matchAll(STATIC)].map(([, type, to = '']) => ({
      from: file,
      to: resolve(file, to),
      kind: type === undefined ? ('value' as const) : ('type' as const),
    })),
    ...[...code.matchAll(LAZY)].map(([, to = '']) => ({ from: file, to: resolve(file, to), kind: 'lazy' as const })),
  ];
  // A method may be called `require`.
  const words = [...code.matchAll(/^import\b|^export\s+(?:type\s+)?[{*]|(?<!\.|async )\b(?:import|require)\(/gm)]
    .length;
  const read = imports.length;
  if (words !== read) throw new Error(`${file} has ${words} imports, of which ${read} could be read.`);
  return { file, code, imports };
}

function resolve(file: string, to: string): string {
  return to.startsWith('.') ? path.posix.join(path.posix.dirname(file), to) : to;
}
