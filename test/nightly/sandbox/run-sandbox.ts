import path from 'node:path';
import * as z from 'zod';
import { startSandbox } from '../../../sandbox/sandbox.ts';

// Starts a sandbox, prints its URL and folder, and keeps it running until this process is killed.
const options = z
  .object({ pythonEnvironment: z.string(), cacheFolder: z.string() })
  .parse(JSON.parse(process.argv[2] ?? ''));
const sandbox = await startSandbox(options);
process.stdout.write(`${sandbox.url} ${path.dirname(sandbox.home)}\n`);
