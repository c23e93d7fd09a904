/** Replaces what differs between runs of the demo: ports, tokens, IDs, timestamps and durations. */
export function normalizeTranscript(text: string): string {
  const [round = ''] = text.split('── How long it took ──');
  const start = round.indexOf('── ');
  const placeholder = createPlaceholders();
  return `${round
    .slice(Math.max(start, 0))
    .replace(/\/\S+\/dstack-box-\w+/g, '/tmp/sandbox')
    .replace(/\b[A-Z][a-z]{2} \d{1,2}, \d\d:\d\d \w+/g, 'Jan 1, 08:00 UTC')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:3000')
    .replace(/\b[0-9a-z]{7}(?:-[0-9a-z]{7}){3}\b/g, (token) => placeholder('token', token))
    .replace(/\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/g, (id) => placeholder('id', id))
    .replace(/\b[0-9a-f]{16}\b/g, (boundary) => placeholder('boundary', boundary))
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, '2026-01-01T00:00:00Z')
    .replace(/\b\d+ (sec|min)s? ago/g, 'a moment ago')
    .replace(/cost so far (?:< )?\$\d+\.\d+/g, 'cost so far $0.00')
    .replace(/[ \t]+$/gm, '')
    .trim()}\n`;
}

/** Returns a function that numbers the values of each kind, and returns the same placeholder for the same value. */
function createPlaceholders(): (kind: string, value: string) => string {
  const placeholders = new Map<string, string>();
  return (kind, value) => {
    const known = placeholders.get(value);
    if (known !== undefined) return known;
    const count = [...placeholders.values()].filter((one) => one.startsWith(`<${kind}`)).length;
    const placeholder = `<${kind}-${count + 1}>`;
    placeholders.set(value, placeholder);
    return placeholder;
  };
}
