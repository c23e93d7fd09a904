/** The action of a plan. `unknown` unless dstack's wording is exactly one of the known ones: nothing is guessed. */
export type PlanAction = 'create' | 'update' | 'replace' | 'none' | 'unknown';

/** One wording of a plan: a question, and the sentence that must precede it. */
export interface PlanPhrase {
  readonly action: Exclude<PlanAction, 'unknown'>;
  readonly question: RegExp;
  /** Absent if dstack prints nothing before its question. */
  readonly sentence?: RegExp;
}

// The question alone doesn't distinguish none from replace, and one sentence has several questions: a phrase is both, verbatim.
// The wording is the same in 0.20.29, 0.21.5 and 0.22.5; the files are in dstack/_internal/cli/services/configurators.
const RUN_PHRASES: readonly PlanPhrase[] = [
  // run.py, BaseRunConfigurator.apply_plan; a finished run of that name counts as absent.
  { action: 'create', question: /^Submit the run (?<name>\S+)\?$/ },
  { action: 'create', question: /^Submit a new run\?$/ },
  {
    action: 'none',
    question: /^Stop and override the run\?$/,
    sentence: /^Active run (?<name>\S+) already exists\. Detected no changes\.$/,
  },
  {
    action: 'update',
    question: /^Update the run\?$/,
    sentence: /^Active run (?<name>\S+) already exists\. Detected changes that can be updated in-place:$/,
  },
  {
    action: 'replace',
    question: /^Stop and override the run\?$/,
    sentence: /^Active run (?<name>\S+) already exists\. Detected changes that cannot be updated in-place:$/,
  },
];

/** fleet.py, volume.py and gateway.py share this wording. */
function resourcePhrases(kind: 'fleet' | 'volume' | 'gateway', update?: RegExp): readonly PlanPhrase[] {
  const title = `${kind.charAt(0).toUpperCase()}${kind.slice(1)}`;
  const found = String.raw`^Found ${kind} (?<name>\S+)\.`;
  const create = new RegExp(`^Create the ${kind}\\?$`);
  const recreate = new RegExp(`^Re-create the ${kind}\\?$`);
  return [
    {
      action: 'create',
      question: create,
      sentence: new RegExp(String.raw`^${title} (?<name>\S+) does not exist yet\.$`),
    },
    // Without a name, dstack looks for nothing and says nothing.
    { action: 'create', question: create },
    { action: 'none', question: recreate, sentence: new RegExp(`${found} No configuration changes detected\\.$`) },
    {
      action: 'replace',
      question: recreate,
      // The last two: a volume; a fleet without a list of differences, or on a server that can't update fleets.
      sentence: new RegExp(
        `${found} (?:Detected changes that cannot be updated in-place:|Configuration changes detected\\.(?: Cannot update the fleet in-place\\.)?)$`,
      ),
    },
    ...(update === undefined
      ? []
      : [
          {
            action: 'update' as const,
            question: update,
            sentence: new RegExp(
              `${found} (?:Detected changes that can be updated in-place:|Configuration changes detected\\.)$`,
            ),
          },
        ]),
  ];
}

/** The phrases of each kind of configuration. */
export const PLAN_PHRASES: ReadonlyMap<string, readonly PlanPhrase[]> = new Map([
  ['task', RUN_PHRASES],
  ['service', RUN_PHRASES],
  ['dev-environment', RUN_PHRASES],
  ['fleet', resourcePhrases('fleet', /^Update the fleet in-place\?$/)],
  ['volume', resourcePhrases('volume')],
  ['gateway', resourcePhrases('gateway', /^Update the gateway\?$/)],
]);

/** Returns whether a line is a sentence in which a plan says what it found, and so isn't an error. */
export const isPlanSentence = (line: string): boolean =>
  [...PLAN_PHRASES.values()].flat().some(({ sentence }) => sentence?.test(line));
