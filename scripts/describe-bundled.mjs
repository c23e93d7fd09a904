// @ts-check
// Describes the third-party code in the bundles: `licenses.txt` with all license texts, and `sbom.cdx.json`, a CycloneDX bill of materials.
import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { runNpm } from './run-npm.mjs';

/** @typedef {{ name: string, version: string, license: string, folder: string }} BundledPackage */

/**
 * Writes both files into the build folder.
 * @param {string} root
 * @param {string} folder
 * @param {readonly import('esbuild').Metafile[]} metafiles of each bundle
 */
export async function describeBundled(root, folder, metafiles) {
  const packages = await listPackages(root, metafiles);
  await Promise.all([
    writeFile(path.join(folder, 'licenses.txt'), await renderLicenses(packages)),
    writeFile(path.join(folder, 'sbom.cdx.json'), await renderBill(root, packages)),
  ]);
}

/**
 * Returns the bundled packages, sorted by name.
 * @param {string} root
 * @param {readonly import('esbuild').Metafile[]} metafiles
 * @returns {Promise<BundledPackage[]>}
 */
async function listPackages(root, metafiles) {
  const inputs = metafiles.flatMap(({ outputs }) =>
    Object.values(outputs).flatMap((output) => Object.keys(output.inputs)),
  );
  const folders = new Set(inputs.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []));
  const packages = await Promise.all(
    [...folders].map(async (name) => {
      const folder = path.join(root, name);
      const described = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
      // Old packages have a list of licenses.
      const license = described.license ?? described.licenses?.[0]?.type;
      if (typeof license !== 'string')
        throw new Error(`${name} doesn't declare a license: check whether it may be bundled.`);
      return { name: String(described.name), version: String(described.version), license, folder };
    }),
  );
  return packages.toSorted((a, b) => a.name.localeCompare(b.name) || a.version.localeCompare(b.version));
}

/**
 * Renders the license texts. Packages with equal texts share one.
 * @param {readonly BundledPackage[]} packages
 */
async function renderLicenses(packages) {
  /** @param {BundledPackage} one */
  const title = ({ name, version, license }) => `${name} ${version} (${license})`;
  const withTexts = await Promise.all(
    packages.map(async (one) => {
      const { folder } = one;
      const files = (await readdir(folder)).filter((file) => /^(?:licen[cs]e|notice)(?:[-.]|$)/i.test(file)).toSorted();
      const texts = await Promise.all(files.map((file) => readFile(path.join(folder, file), 'utf8')));
      return { title: title(one), text: texts.map((text) => text.trim()).join('\n') };
    }),
  );
  const texts = new Set(withTexts.map(({ text }) => text));
  const parts = [...texts].map((text) => {
    const titles = withTexts.filter((one) => one.text === text).map((one) => one.title);
    return [...titles, '', text].join('\n');
  });
  const head = `These packages are part of dstack-mcp's bundles, under their own licenses:\n`;
  const list = packages.map((one) => `  ${title(one)}`).join('\n');
  return `${[head + list, ...parts].join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

/**
 * Filters npm's bill of materials to the bundled packages. Removes the timestamp and serial number, so that builds are reproducible.
 * @param {string} root
 * @param {readonly BundledPackage[]} packages
 */
async function renderBill(root, packages) {
  const { serialNumber: _number, ...bill } = JSON.parse(
    await runNpm(['sbom', '--sbom-format=cyclonedx', '--package-lock-only'], { cwd: root }),
  );
  const bundled = new Set(packages.map(({ name, version }) => `${name}@${version}`));
  /** @param {{ 'bom-ref': string }} component */
  const isBundled = (component) => bundled.has(component['bom-ref'].split('|').at(-1) ?? '');
  const { timestamp: _time, ...metadata } = bill.metadata;
  const components = bill.components.filter(isBundled).map((/** @type {object} */ component) => ({
    ...component,
    // npm knows them as development dependencies, but the build bundles them.
    scope: 'required',
    properties: [],
  }));
  if (components.length < bundled.size) throw new Error("npm's bill of materials lacks a bundled package.");
  const own = { ...metadata.component, name: 'dstack-mcp' };
  const dependencies = [
    { ref: own['bom-ref'], dependsOn: components.map((/** @type {{ 'bom-ref': string }} */ one) => one['bom-ref']) },
  ];
  return `${JSON.stringify({ ...bill, metadata: { ...metadata, component: own }, components, dependencies }, undefined, 2)}\n`;
}
