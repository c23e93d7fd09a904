/** Leaves out of a demo's transcript what is another each time: ports, tokens, ids, times and durations. */
export function settleTranscript(text: string): string {
  const [round = ''] = text.split('── How long it took ──');
  const start = round.indexOf('── ');
  const named = createNames();
  return `${round
    .slice(Math.max(start, 0))
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:3000')
    .replace(/\b[0-9a-z]{7}(?:-[0-9a-z]{7}){3}\b/g, (token) => named('token', token))
    .replace(/\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/g, (id) => named('id', id))
    .replace(/\b[0-9a-f]{16}\b/g, (boundary) => named('boundary', boundary))
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, '2026-01-01T00:00:00Z')
    .replace(/\b\d+ (sec|min)s? ago/g, 'a moment ago')
    .replace(/cost so far \$\d+\.\d+/g, 'cost so far $0.00')
    .replace(/[ \t]+$/gm, '')
    .trim()}\n`;
}

/** Gives each thing a name, the same thing the same one. */
function createNames(): (kind: string, thing: string) => string {
  const names = new Map<string, string>();
  return (kind, thing) => {
    const known = names.get(thing);
    if (known !== undefined) return known;
    const count = [...names.values()].filter((name) => name.startsWith(`<${kind}`)).length;
    const name = `<${kind}-${count + 1}>`;
    names.set(thing, name);
    return name;
  };
}

/** Takes the steps of a transcript that have these titles, in its order. @throws Error where one isn't there */
export function takeSteps(transcript: string, titles: readonly string[]): string {
  const steps = transcript.split(/^(?=── )/m);
  return titles
    .map((title) => {
      const step = steps.find((text) => text.startsWith(`── ${title} ──`));
      if (step === undefined) throw new Error(`The demo has no step "${title}": record it anew, or name another.`);
      return step.trim();
    })
    .join('\n\n');
}
