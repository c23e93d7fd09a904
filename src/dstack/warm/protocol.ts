import * as z from 'zod';

/** One command (or one question about dstack) for a forked child of the worker. */
export interface WarmRequest {
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The variables that differ from the worker's own. */
  readonly env: Readonly<Record<string, string>>;
  /** `parked`: a child that has built its parsers already. `shallow`: one forked before the entry script runs. */
  readonly mode: 'parked' | 'shallow';
  /** A change: it may finish when the server ends. */
  readonly outlivesServer: boolean;
  readonly input?: Uint8Array;
  readonly pinnedFile?: { readonly path: string; readonly bytes: Uint8Array };
  /** A question of `worker/introspect.py` instead of a command. */
  readonly task?: string;
  readonly onOutput: (stream: 'stdout' | 'stderr', piece: Buffer) => void;
}

/** How a child ended. `not-run`: the word to go never reached it, so nothing was done. `lost`: what it did isn't known. */
export type ChildEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly signal: string }
  | { readonly kind: 'not-run'; readonly reason: string }
  | { readonly kind: 'lost'; readonly reason: string };

/** A child that holds a whole request. It runs when told to go, and not before. */
export interface WarmChild {
  readonly pid: number;
  readonly ended: Promise<ChildEnd>;
  go(): void;
  /** Signals its whole process group. */
  signal(name: NodeJS.Signals): void;
}

/** Whether a child took the request. Refused: nothing ran, and nothing will. */
export type HandOver =
  | { readonly kind: 'held'; readonly child: WarmChild }
  | { readonly kind: 'refused'; readonly reason: string };

const infoSchema = z.object({
  version: z.string(),
  python: z.string(),
  /** Names (or `PREFIX*`) of variables whose values are part of what was imported. */
  bakedAtImport: z.array(z.string()),
  /** The same for what a parked child has built. */
  bakedAtPark: z.array(z.string()),
  /** State of the files that change with an upgrade, by path. */
  fingerprints: z.record(z.string(), z.string()),
  importMs: z.number(),
});

/** What a worker says of itself when it is ready. */
export type WorkerInfo = z.output<typeof infoSchema>;

/** A worker's first word: that it is ready, or why this dstack can't be served warm. */
export const readySchema = z.union([z.object({ declined: z.string() }), infoSchema]);

export const heldSchema = z.object({ pid: z.number() });

export const endSchema = z.union([
  z.object({ code: z.number(), going: z.boolean() }),
  z.object({ signal: z.number(), going: z.boolean() }),
]);
