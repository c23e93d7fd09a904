import { AsyncLocalStorage } from 'node:async_hooks';
import type { OngoingCall } from './call-record.ts';

const calls = new AsyncLocalStorage<OngoingCall>();

/** Runs a call's work: whatever it leads to, in whichever part, knows the call. */
export function runInCall<T>(call: OngoingCall, work: () => T): T {
  return calls.run(call, work);
}

/** The call that the running code belongs to, also one that is over but left something running. */
export function currentCall(): OngoingCall | undefined {
  return calls.getStore();
}
