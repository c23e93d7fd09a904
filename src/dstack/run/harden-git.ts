/** Settings that keep a repository's own configuration and hooks from running a program, or from naming a folder as a repository. */
const SETTINGS = [
  ['core.fsmonitor', 'false'],
  ['core.hooksPath', process.platform === 'win32' ? 'NUL' : '/dev/null'],
  ['protocol.ext.allow', 'never'],
  ['safe.bareRepository', 'explicit'],
] as const;

/**
 * Returns variables that harden git, which dstack starts in the folder of a repository. They override every file of git's
 * configuration; existing settings of the same kind are kept before them.
 */
export function hardenGit(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept = /^\d{1,3}$/.test(env['GIT_CONFIG_COUNT'] ?? '') ? Number(env['GIT_CONFIG_COUNT']) : 0;
  const pairs = SETTINGS.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${kept + index}`, key],
    [`GIT_CONFIG_VALUE_${kept + index}`, value],
  ]);
  return {
    ...Object.fromEntries(pairs),
    GIT_CONFIG_COUNT: String(kept + SETTINGS.length),
    GIT_TERMINAL_PROMPT: '0',
  };
}
