// @ts-check
// Leaves out of the server what the MCP SDK would create at each start, and what isn't used here.
import { readFile } from 'node:fs/promises';

const SDK = '@modelcontextprotocol';

/**
 * Bundles the MCP SDK without Ajv, which it needs only for `elicitInput`, and without the schemas that it merely exports.
 * @type {import('esbuild').Plugin}
 */
export const leanSdk = {
  name: 'lean-sdk',
  setup(bundler) {
    const namespace = 'without-ajv';
    let isLeftOut = false;
    bundler.onResolve({ filter: /^@modelcontextprotocol\/server\/_shims$/ }, () => {
      isLeftOut = true;
      return { path: 'shims', namespace };
    });
    bundler.onEnd(({ errors }) => {
      if (!isLeftOut && errors.length === 0)
        throw new Error("The MCP SDK loads Ajv in another way: it isn't left out.");
    });
    bundler.onLoad({ filter: /^shims$/, namespace }, () => ({
      contents: "export { default as process } from 'node:process'; export class DefaultJsonSchemaValidator {}",
    }));
    // The registry of all schemas would keep them in the bundle.
    onLoad(/server\/dist\/src-[\w-]+\.mjs$/, /^for \(const .*\) register\(key, .*\);$/gm, '');
    // A call that may have an effect stays; these only create a schema.
    onLoad(
      /core\/dist\/(?:auth|schemas)-[\w-]+\.mjs$/,
      /^const (\w+Schema) = ([\s\S]*?);\n(?=\n|const |\/\*\*|\/\/|export |function )/gm,
      'const $1 = /* @__PURE__ */ (() => $2)();\n',
    );

    /**
     * @param {RegExp} file
     * @param {RegExp} from
     * @param {string} to
     */
    function onLoad(file, from, to) {
      bundler.onLoad(
        { filter: new RegExp(`${SDK}[/\\\\]${file.source.replaceAll('\\/', '[/\\\\]')}`) },
        async ({ path }) => {
          const text = await readFile(path, 'utf8');
          const contents = text.replaceAll(from, to);
          if (contents === text)
            throw new Error(`${path} has changed: what it creates at each start can't be left out.`);
          return { contents };
        },
      );
    }
  },
};
