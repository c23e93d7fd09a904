// @ts-check
import { register } from 'node:module';

// The suite imports `globSync` from `fs` for a command that isn't used here, and Node 20 has none: it is then given one that finds nothing.
const fs = "export * from 'node:fs'; export { default } from 'node:fs'; export const globSync = () => [];";
const hooks = `export const resolve = (specifier, context, next) =>
  specifier === 'fs' ? { url: ${JSON.stringify(toUrl(fs))}, shortCircuit: true } : next(specifier, context);`;
if (!('globSync' in (await import('node:fs')))) register(toUrl(hooks));

/** @param {string} code */
function toUrl(code) {
  return `data:text/javascript,${encodeURIComponent(code)}`;
}
