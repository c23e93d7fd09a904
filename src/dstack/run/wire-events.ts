import * as z from 'zod';
import type { WireEvent } from '../../core/transcript.ts';
import { isRecord } from '../../core/values.ts';

const wireEvent = z.custom<WireEvent>(
  (value) => isRecord(value) && typeof value['event'] === 'string' && typeof value['path'] === 'string',
);

/** Returns an event of the gate in dstack's process; undefined if it can't be read. Doesn't throw: it is called for what arrives in a stream. */
export function readWireEvent(text: string): WireEvent | undefined {
  try {
    return wireEvent.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** The end of a command with such an event: it isn't known what it did. */
export const UNREADABLE = {
  kind: 'lost',
  reason: "what dstack's process reported about its requests can't be read",
} as const;

const isLookUp = ({ event }: WireEvent): boolean => event === 'found' || event === 'unreadable';

/**
 * Adds an event. Of the look-ups at a path only the last one is kept: while dstack waits for a run to stop, it looks it up each second, and
 * each one can have megabytes.
 */
export function addWireEvent(events: WireEvent[], event: WireEvent): void {
  const earlier = isLookUp(event) ? events.findIndex((one) => isLookUp(one) && one.path === event.path) : -1;
  if (earlier !== -1) events.splice(earlier, 1);
  events.push(event);
}
