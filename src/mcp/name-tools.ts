/** Names that are common words, too: after these words they aren't a tool. */
const NOT_A_TOOL_AFTER =
  "a|an|the|this|that|these|its|their|each|every|another|new|no|of|to|can|can't|could|would|may|must|will|don't|doesn't|didn't|dstack";

/**
 * Returns how a text for a model names tools that have a prefix: `call plan again` becomes `call gpu_plan again`. A name that is used as
 * a common word (`the plan`), an argument (`fleet` in backticks), or a command of dstack stays as it is written.
 */
export function createToolNaming(prefix: string, names: readonly string[]): (text: string) => string {
  if (prefix === '') return (text) => text;
  const tool = new RegExp(
    String.raw`(?<![\w\x60"'/.-]|\b(?:${NOT_A_TOOL_AFTER}) )(${[...names].sort((a, b) => b.length - a.length).join('|')})(?![\w\x60"'/-]|\.\w)`,
    'gi',
  );
  const isName = new Set(names);
  return (text) => text.replace(tool, (word) => (isName.has(word) ? `${prefix}${word}` : word));
}
