/** One variable of a git configuration. `key` has no subsection and is in lower case, as in `remote.url`. */
export interface GitVariable {
  readonly key: string;
  /** The full name, as in `remote.origin.url`. */
  readonly name: string;
  readonly value: string;
}

const HEADER = /^\[([a-z\d.-]+)(?:[ \t]+"((?:[^"\\]|\\.)*)")?[ \t]*\]/i;
const VARIABLE = /^([a-z][a-z\d-]*)[ \t]*(?:=(.*))?$/is;

/**
 * Reads a git configuration strictly. Returns undefined for a text that could be read in another way, such as one with a value that
 * continues on the next line.
 */
export function readGitConfig(text: string): readonly GitVariable[] | undefined {
  const variables: GitVariable[] = [];
  let section = '';
  let subsection: string | undefined;
  for (const line of text.replace(/^\uFEFF/, '').split('\n')) {
    let rest = trimStart(line);
    for (let header = HEADER.exec(rest); header !== null; header = HEADER.exec(rest)) {
      section = header[1] ?? '';
      subsection = header[2];
      rest = trimStart(rest.slice(header[0].length));
    }
    if (rest === '' || /^[#;]/.test(rest)) continue;
    const [, name, value = ''] = VARIABLE.exec(rest.replace(/[ \t\r]+$/, '')) ?? [];
    if (name === undefined || section === '' || value.endsWith('\\')) return undefined;
    variables.push({
      // `[remote.origin]` is an old way to write `[remote "origin"]`.
      key: `${section.split('.')[0]}.${name}`.toLowerCase(),
      name: [section, subsection, name].filter((part) => part !== undefined).join('.'),
      value: value.trim().replace(/^"([^"\\]*)"$/, '$1'),
    });
  }
  return variables;
}

// What git skips before a variable; more would be read differently.
const trimStart = (text: string): string => text.replace(/^[ \t\r]+/, '');

/** The last part of a name whose value is a program, or names one: git's own documentation has these, and their kinds. */
const PROGRAM =
  /(?:command|cmd|program|helper|hook|hookspath|proxy|editor|pager|askpass|filter|textconv|driver|agent)$|^(?:fsmonitor|clean|smudge|process|external|uploadpack|receivepack|uploadarchive|vcs)$/;

const BOOLEAN = /^(?:true|false|yes|no|on|off|1|0|)$/i;

/** Whether git may run a program, read another file or use another transport because of this variable. */
export function isRisky({ key, value }: GitVariable): boolean {
  const [section = '', last = ''] = key.split('.');
  if (/^(?:include|includeif|url|protocol)$/.test(section) || (section === 'lfs' && last === 'path')) return true;
  // `true` stands for git's own monitor.
  if (last === 'fsmonitor') return !BOOLEAN.test(value);
  if (section === 'submodule' && value.startsWith('!')) return true;
  if (/^(?:push)?url$/.test(last) && value.includes('::')) return true;
  return PROGRAM.test(last) && last !== 'partialclonefilter';
}
