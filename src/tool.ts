import type * as z from 'zod';
import type { Powers } from './powers/powers.ts';

/** What a tool can do to the world: nothing, change it, or destroy something in it. */
export type Effect = 'read' | 'change' | 'destroy';

/**
 * What really happened, which dstack's exit code doesn't tell.
 * `blocked`: dstack can't do it as things stand (no offers, no fleets, invalid file). `refused`: this server didn't let it through.
 * `unknown`: it was asked for, and whether it happened isn't known.
 */
export type Outcome = 'done' | 'nothing-to-do' | 'blocked' | 'refused' | 'failed' | 'waiting-for-person' | 'unknown';
