/**
 * Words by which dstack's help texts tell that a flag adds up when it is given again; argparse itself doesn't show it.
 * Only sure signs: a flag wrongly held to be repeatable would silently lose all values but the last.
 */
const SIGNS = [
  /\b(?:can be|may be) (?:repeated|(?:specified|used|given|passed) (?:multiple|several) times)/i,
  /\brepeat for several\b/i,
  /\(s\)/,
  // "The backends that will be tried", "The instances to delete"
  /^The (?:[\w-]+ )*[\w-]*[^\Wsu]s (?:that|to)\b/,
  // "events that target the specified fleets", "entities of the specified types"
  /\bthe specified [\w-]*[^\Wsu]s\b/,
  /^Environment variables$/,
  /^Port mapping overrides$/,
];

/** Whether a flag's help text says that it may be given more than once. */
export function inferRepeatable(help: string): boolean {
  return SIGNS.some((sign) => sign.test(help));
}
