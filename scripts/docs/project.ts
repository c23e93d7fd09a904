import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

/** Project metadata from `package.json`, with URLs derived from its repository. */
export interface Project {
  readonly name: string;
  readonly mcpName: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly author: string;
  readonly keywords: readonly string[];
  /** URL of the repository in a browser. */
  readonly repository: string;
  readonly documentation: string;
  readonly support: string;
  readonly privacyPolicy: string;
}

/** Whether the package is on npm. Set it with the first release: until then, all pages lead with what works from a clone. */
export const IS_PUBLISHED: boolean = false;

const packageFile = z.object({
  name: z.string(),
  mcpName: z.string(),
  version: z.string(),
  description: z.string(),
  license: z.string(),
  author: z.string(),
  keywords: z.array(z.string()),
  repository: z.object({ url: z.string().regex(/^git\+https:\/\/.+\.git$/) }),
});

/** Reads the metadata from `package.json`. */
export async function readProject(root: string): Promise<Project> {
  const { repository, ...project } = packageFile.parse(
    JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')),
  );
  const page = repository.url.replace(/^git\+/, '').replace(/\.git$/, '');
  return {
    ...project,
    repository: page,
    documentation: `${page}#readme`,
    support: `${page}/issues`,
    privacyPolicy: `${page}/blob/main/docs/privacy.md`,
  };
}
