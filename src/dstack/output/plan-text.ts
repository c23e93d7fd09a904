import type { Transcript } from '../../core/transcript.ts';
import { findOffersTable } from './read-offers.ts';
import { readProperties } from './read-tables.ts';

/** The action of a plan. `unknown` unless dstack's wording is exactly one of the known ones: nothing is guessed. */
export type PlanAction = 'create' | 'update' | 'replace' | 'none' | 'unknown';

/** One wording of a plan: a question, and the sentence that must precede it. */
export interface PlanPhrase {
  readonly action: Exclude<PlanAction, 'unknown'>;
  readonly question: RegExp;
  /** Absent if dstack prints nothing before its question. */
  readonly sentence?: RegExp;
}

const RUNS = ['task', 'service', 'dev-environment'];
const OTHERS = ['fleet', 'volume', 'gateway'];
const STOP = 'Stop and override the run?';
const CREATE = 'Create the <kind>?';
const RECREATE = 'Re-create the <kind>?';
const UPDATE_FLEET = 'Update the fleet in-place?';
const UPDATE_GATEWAY = 'Update the gateway?';
const UPDATABLE = 'Detected changes that can be updated in-place:';
const NOT_UPDATABLE = 'Detected changes that cannot be updated in-place:';

type Wording = readonly [PlanPhrase['action'], kinds: readonly string[], question: string, sentence?: string];

// The question alone doesn't distinguish none from replace, and one sentence has several questions: a phrase is both, verbatim.
// The wording is the same in 0.20.29, 0.21.5 and 0.22.5; the files are in dstack/_internal/cli/services/configurators.
const WORDINGS: readonly Wording[] = [
  // run.py, BaseRunConfigurator.apply_plan; a finished run of that name counts as absent.
  ['create', RUNS, 'Submit the run <name>?'],
  ['create', RUNS, 'Submit a new run?'],
  ['none', RUNS, STOP, 'Active run <name> already exists. Detected no changes.'],
  ['update', RUNS, 'Update the run?', `Active run <name> already exists. ${UPDATABLE}`],
  ['replace', RUNS, STOP, `Active run <name> already exists. ${NOT_UPDATABLE}`],
  // fleet.py, volume.py and gateway.py share this wording. Without a name, dstack looks for nothing and says nothing.
  ['create', OTHERS, CREATE, '<Kind> <name> does not exist yet.'],
  ['create', OTHERS, CREATE],
  ['none', OTHERS, RECREATE, 'Found <kind> <name>. No configuration changes detected.'],
  ['replace', OTHERS, RECREATE, `Found <kind> <name>. ${NOT_UPDATABLE}`],
  // A volume; a fleet without a list of differences, or on a server that can't update fleets.
  ['replace', OTHERS, RECREATE, 'Found <kind> <name>. Configuration changes detected.'],
  [
    'replace',
    OTHERS,
    RECREATE,
    'Found <kind> <name>. Configuration changes detected. Cannot update the fleet in-place.',
  ],
  ['update', ['fleet'], UPDATE_FLEET, `Found fleet <name>. ${UPDATABLE}`],
  ['update', ['fleet'], UPDATE_FLEET, 'Found fleet <name>. Configuration changes detected.'],
  ['update', ['gateway'], UPDATE_GATEWAY, `Found gateway <name>. ${UPDATABLE}`],
  ['update', ['gateway'], UPDATE_GATEWAY, 'Found gateway <name>. Configuration changes detected.'],
];

function toPattern(wording: string, kind: string): RegExp {
  const words = wording.replaceAll(/[.?]/g, String.raw`\$&`).replaceAll('<name>', String.raw`(?<name>\S+)`);
  return new RegExp(
    `^${words.replace('<kind>', kind).replace('<Kind>', kind.charAt(0).toUpperCase() + kind.slice(1))}$`,
  );
}

/** The phrases of each kind of configuration. */
export const PLAN_PHRASES: ReadonlyMap<string, readonly PlanPhrase[]> = new Map(
  [...RUNS, ...OTHERS].map((kind) => [
    kind,
    WORDINGS.filter(([, kinds]) => kinds.includes(kind)).map(([action, , question, sentence]) => ({
      action,
      question: toPattern(question, kind),
      ...(sentence === undefined ? {} : { sentence: toPattern(sentence, kind) }),
    })),
  ]),
);

/** Returns whether a line is a sentence in which a plan says what it found, and so isn't an error. */
const isPlanSentence = (line: string): boolean =>
  [...PLAN_PHRASES.values()].flat().some(({ sentence }) => sentence?.test(line));

/** Returns what dstack printed apart from the tables and sentences of a plan. */
export function withoutPlan(stdout: string): string {
  const lines = stdout.split('\n');
  const properties = readProperties(lines);
  const offers = properties === undefined ? undefined : findOffersTable(lines, properties.endLine);
  const after = lines.slice(offers?.endLine ?? properties?.endLine ?? 0);
  const before = lines.slice(0, properties?.startLine ?? 0).filter((line) => !isNotice(line));
  return [...before, ...after.filter((line) => !isPlanSentence(line) && !/^ *- |^ Shown \d+ of \d+ offers/.test(line))]
    .join('\n')
    .trim();
}

/** Returns whether a line is a notice that can precede any output: cli/utils/updates.py, run.py on a missing editor. */
function isNotice(line: string): boolean {
  return /^(?:A new version of dstack is available: |Unable to detect the .+ version and pre-install extensions\. )/.test(
    line,
  );
}

/** Removes dstack's question and its `Exiting...` from the end of a plan: this server answered it, and nobody else can. */
export function withoutQuestion(transcript: Transcript): Transcript {
  const stdout = transcript.stdout.replace(/\n*^\S.*\? \[y\/n\]: *\n+Exiting\.\.\.\s*$/m, '\n');
  return { ...transcript, stdout };
}
