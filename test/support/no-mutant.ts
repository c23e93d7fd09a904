import { isRecord } from '../../src/core/values.ts';

// In a setup file: in a thread that is kept, the mutant before must not be active while the modules of a test file are loaded.
const state: unknown = Reflect.get(globalThis, '__stryker__');
if (isRecord(state)) Object.assign(state, { activeMutant: undefined });
