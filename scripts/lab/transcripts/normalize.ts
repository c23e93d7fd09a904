/** Replaces what differs between two recordings of the same commands: places, ports, ids, times and keys. */
export class Normalizer {
  readonly #places: readonly (readonly [from: string, to: string])[];
  readonly #ids = new Map<string, string>();
  #firstTime: number | undefined;

  /** @param places strings to replace, for example paths. The first match wins, so list the longest ones first. */
  constructor(places: readonly (readonly [from: string, to: string])[]) {
    this.#places = places;
  }

  normalize(text: string): string {
    const placed = this.#places.reduce((done, [from, to]) => done.replaceAll(from, to), text);
    return placed
      .replaceAll(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, (id) => this.#number(id))
      .replaceAll(
        /\b(\d{4}-\d\d-\d\d)([T ])(\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:00)?/g,
        (_time, day, between, clock, ...rest) => {
          const [fraction = '', zone = ''] = rest;
          const iso = this.#shift(Date.parse(`${day}T${clock}Z`));
          return `${iso.slice(0, 10)}${between}${iso.slice(11, 19)}${fraction === '' ? '' : '.000000'}${zone}`;
        },
      )
      .replaceAll(/\b127\.(?!0\.0\.1\b)\d+\.\d+\.\d+\b/g, '127.0.1.11')
      .replaceAll(/(?<="ssh_port": )\d+/g, '43397')
      .replaceAll(/\b(ssh-(?:rsa|ed25519)) [A-Za-z0-9+/=]{20,}/g, '$1 AAAA');
  }

  /** Returns the same id for the same resource, numbered in order of appearance. */
  #number(id: string): string {
    const known = this.#ids.get(id) ?? `00000000-0000-4000-8000-${String(this.#ids.size + 1).padStart(12, '0')}`;
    this.#ids.set(id, known);
    return known;
  }

  /** Moves a time so that the recording starts at a fixed one. */
  #shift(time: number): string {
    this.#firstTime ??= time;
    return new Date(START + time - this.#firstTime).toISOString();
  }
}

const START = Date.UTC(2026, 0, 1);
