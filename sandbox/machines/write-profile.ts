/** Variables that belong to a login, which dstack leaves out. */
const OF_THE_LOGIN: ReadonlySet<string> = new Set(['HOSTNAME', 'USER', 'HOME', 'SHELL', 'SHLVL', 'PWD', '_']);

/** Returns /dstack/profile as dstack's runner writes it: the variables of the job, then the change to its folder. */
export function writeProfile(variables: Readonly<Record<string, string>>): string {
  const exports = Object.entries(variables)
    .filter(([name]) => /^[A-Za-z_]\w*$/.test(name) && !OF_THE_LOGIN.has(name))
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", `'"'"'`)}'\n`);
  return `${exports.join('')}cd "$DSTACK_WORKING_DIR"\n`;
}
