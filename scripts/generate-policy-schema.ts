import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { policyJsonSchema } from '../src/safety/policy/policy.ts';

// The schema of the policy file for editors; a test holds it in step with the code.
const file = path.join(import.meta.dirname, '..', 'docs', 'policy.schema.json');
await writeFile(file, `${JSON.stringify(policyJsonSchema(), null, 2)}\n`);
