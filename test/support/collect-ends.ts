import type { AtEnd } from './connect.ts';

/** Collects cleanups for resources that several tests share, and runs them last to first: `collectEnds(afterAll)`. */
export function collectEnds(register: (end: () => Promise<void>) => void): AtEnd {
  const ends: (() => Promise<unknown>)[] = [];
  register(async () => {
    for (const end of ends.splice(0)) await end();
  });
  return (end) => {
    ends.unshift(end);
  };
}
