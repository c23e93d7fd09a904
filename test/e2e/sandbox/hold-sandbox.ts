import path from 'node:path';
import * as z from 'zod';
import { startSandbox } from '../../../sandbox/sandbox.ts';

// Starts a sandbox, says where it is, and holds it until somebody ends this process.
const options = z
  .object({ pythonEnvironment: z.string(), cacheFolder: z.string() })
  .parse(JSON.parse(process.argv[2] ?? ''));
const sandbox = await startSandbox(options);
process.stdout.write(`${sandbox.url} ${path.dirname(sandbox.home)}\n`);
