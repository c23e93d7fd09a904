import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';

/** One step of the demo: a user's request, and the tool call that answers it. */
export interface Step {
  readonly title: string;
  readonly tool: string;
  /** Creates the input from the previous step's structured content. */
  readonly arguments: (previous: Readonly<Record<string, unknown>>) => Record<string, unknown>;
  /** The expected outcome. Defaults to `done`. */
  readonly outcome?: string;
  /** Changes the workspace first. Returns what was changed. */
  readonly edit?: (workspace: string) => Promise<string>;
  /** Repeats the call until this returns true. */
  readonly until?: (facts: Readonly<Record<string, unknown>>) => boolean;
}

/** Steps from an idea to a finished run. */
export const RUN_STEPS: readonly Step[] = [
  { title: 'Which GPUs are available, and what do they cost?', tool: 'offer', arguments: () => ({ max_offers: 8 }) },
  { title: 'What would this training run do and cost?', tool: 'plan', arguments: () => ({ file: 'train.dstack.yml' }) },
  { title: 'Yes, run it', tool: 'apply', arguments: ({ token }) => ({ token }) },
  { title: 'Tell me when it is running', tool: 'get', arguments: () => ({ name: 'train', wait_for: 'running' }) },
  { title: 'What is running now?', tool: 'ps', arguments: () => ({}) },
  {
    title: 'What does it print?',
    tool: 'logs',
    arguments: () => ({ run: 'train', lines: 20 }),
    until: ({ totalLines }) => totalLines === 3,
  },
  { title: 'Stop it', tool: 'stop', arguments: () => ({ run: 'train' }) },
  { title: 'Yes, stop it', tool: 'apply', arguments: ({ token }) => ({ token }) },
  { title: 'Has it finished?', tool: 'get', arguments: () => ({ name: 'train', wait_for: 'finished' }) },
  {
    title: 'A flag that dstack does not document is rejected',
    tool: 'plan',
    arguments: () => ({ file: 'train.dstack.yml', flags: { '--gpus': '8' } }),
    outcome: 'refused',
  },
];

const LAB = 'lab.dstack.yml';
const SCRIPT = 'fit.py';
const PLOT = 'loss.png';
const UPLOAD = { direction: 'upload', run: 'lab', local: SCRIPT, remote: SCRIPT };
const RUN_SCRIPT = { run: 'lab', command: `python3 ${SCRIPT}` };

/** Steps of an experiment in a dev environment: upload, run, read, change, run again, fetch the result. */
export const EXPERIMENT_STEPS: readonly Step[] = [
  {
    title: 'What would a dev environment for an experiment cost?',
    edit: writeExperiment,
    tool: 'plan',
    arguments: () => ({ file: LAB }),
  },
  { title: 'Start it', tool: 'apply', arguments: ({ token }) => ({ token, wait_for: 'running' }) },
  { title: 'Upload my script', tool: 'copy', arguments: () => UPLOAD, outcome: 'waiting' },
  { title: 'Yes, upload it', tool: 'apply', arguments: ({ token }) => ({ token }) },
  { title: 'Run it', tool: 'exec', arguments: () => RUN_SCRIPT },
  {
    title: 'It diverges: try a lower rate',
    edit: (workspace) => writeScript(workspace, 0.2),
    tool: 'copy',
    arguments: () => ({ ...UPLOAD, replace: true }),
  },
  { title: 'Run it again', tool: 'exec', arguments: () => RUN_SCRIPT },
  {
    title: 'Show me the loss',
    tool: 'copy',
    arguments: () => ({ direction: 'download', run: 'lab', local: PLOT, remote: PLOT }),
  },
  { title: 'Stop the dev environment', tool: 'stop', arguments: () => ({ run: 'lab' }) },
  { title: 'Yes, stop that, too', tool: 'apply', arguments: ({ token }) => ({ token }) },
  { title: 'What did it cost?', tool: 'get', arguments: () => ({ name: 'lab', wait_for: 'finished' }) },
];

async function writeExperiment(workspace: string): Promise<string> {
  const resources = { gpu: 'RTX4090' };
  const lab = { type: 'dev-environment', name: 'lab', ide: 'vscode', resources, max_duration: '2h' };
  await writeFile(path.join(workspace, LAB), stringify(lab));
  return `The agent writes ${LAB}. ${await writeScript(workspace, 0.3)}`;
}

async function writeScript(workspace: string, rate: number): Promise<string> {
  await writeFile(path.join(workspace, SCRIPT), createScript(rate));
  return `The agent writes ${SCRIPT} with the learning rate ${rate}.`;
}

const createScript = (
  rate: number,
): string => String.raw`# Fits a line to noisy points by gradient descent, and draws its loss.
from random import gauss, seed
from struct import pack
from zlib import compress, crc32

RATE, STEPS, WIDTH, HEIGHT = ${rate}, 60, 240, 120

seed(1)
points = [(x / 10, 3 * x / 10 + 2 + gauss(0, 0.3)) for x in range(50)]
slope, offset, losses = 0.0, 0.0, []
for step in range(1, STEPS + 1):
    errors = [(slope * x + offset - y, x) for x, y in points]
    losses.append(sum(error**2 for error, _ in errors) / len(points))
    slope -= RATE * sum(error * x for error, x in errors) / len(points)
    offset -= RATE * sum(error for error, _ in errors) / len(points)
    if step % 20 == 0:
        print(f"step {step}: loss {losses[-1]:.3g}")
print(f"y = {slope:.3g} x + {offset:.3g}")

rows = [bytearray(b"\xff" * WIDTH) for _ in range(HEIGHT)]
for column in range(WIDTH):
    loss = min(losses[column * STEPS // WIDTH] / max(losses), 1)
    rows[round((1 - loss) * (HEIGHT - 1))][column] = 0
chunk = lambda kind, data: pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))
with open("loss.png", "wb") as file:
    file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0)))
    file.write(chunk(b"IDAT", compress(b"".join(b"\0" + row for row in rows))) + chunk(b"IEND", b""))
`;
