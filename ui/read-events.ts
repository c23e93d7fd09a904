const MOST = 100;

/** Reads dstack's lines of events (`[2026-11-25 01:12:55] [run x] Run submitted.`), the latest first, as many as one looks at. */
export function readEvents(output: string): readonly { readonly at: string; readonly what: string }[] {
  return output
    .split('\n')
    .flatMap((line) => {
      const [, at, what] = /^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] (.+)$/.exec(line) ?? [];
      return at === undefined || what === undefined ? [] : { at, what };
    })
    .reverse()
    .slice(0, MOST);
}
