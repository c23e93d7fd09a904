import * as z from 'zod';

// A token can be redeemed by another process: these are the schemas of what it reads, too. An unknown property fails, because a newer
// server may bind more than this one compares.
const fixed = <T extends z.core.$ZodLooseShape>(shape: T) => z.strictObject(shape).readonly();
const texts = z.array(z.string()).readonly();
const project = z.string().optional();
const resource = fixed({ kind: z.string(), name: z.string().optional() });

const applyRequest = fixed({
  tool: z.literal('apply'),
  file: z.string(),
  project,
  extraFlags: z.record(z.string(), z.unknown()).readonly().optional(),
  /** The name that was chosen for it, because its file has none. */
  chosenName: z.string().optional(),
  /** Asks for the consent to what planning would send, instead of the plan. */
  agreement: z.literal(true).exactOptional(),
});

const stopRequest = fixed({ tool: z.literal('stop'), run: z.string(), abort: z.boolean(), project });

/** Stops several runs with one consent. They aren't aborted: that takes the typed name of each. */
const stopSeveral = fixed({ tool: z.literal('stop'), runs: texts, project });

/** Deletes the resource of a configuration file: the only way in which dstack deletes a finished run. */
const deleteByFile = fixed({ tool: z.literal('delete'), file: z.string(), project });

const deleteByName = fixed({
  tool: z.literal('delete'),
  kind: z.enum(['fleet', 'instance', 'volume', 'gateway']),
  name: z.string(),
  /** Number of the instance within the fleet `name`. */
  instance: z.number().optional(),
  project,
});

/** One use of a run: a command, a transfer, or a request that can start a replica. */
const accessUse = fixed({
  what: z.enum(['exec', 'upload', 'download', 'request']),
  /** The whole command line, what is copied to where, or the request. Whatever else the model chose about it has to be in `input`. */
  text: z.string(),
  /** The standard input of the command, which decides what a shell or an interpreter does, or the body of the request. */
  input: z.string().optional(),
  /** The job that it is done in; absent for the one that dstack chooses. */
  replica: z.number().optional(),
  job: z.number().optional(),
  /** Whether it goes on after its call. */
  isBackground: z.boolean().optional(),
});

/** A call that uses a run, and that waits for the consent to do so. */
const waitingCall = fixed({
  tool: z.enum(['exec', 'copy', 'request']),
  /** Its arguments, as they came. */
  input: z.record(z.string(), z.unknown()).readonly(),
});

/** Asks for the consent to run commands in a run, and to upload files to it. It changes nothing in dstack. */
const accessRequest = fixed({
  tool: z.literal('access'),
  run: z.string(),
  project,
  /** The time (ISO 8601) at which the consent ends, if the run doesn't end before. */
  until: z.string(),
  /** The only use that is consented to, once. Defaults to every command and upload. */
  use: accessUse.optional(),
  /** Consents to requests with the user's token instead, which the program of the run gets. */
  token: z.literal(true).exactOptional(),
  /** The call that asked for it: `apply` makes it once this is approved. */
  call: waitingCall.exactOptional(),
  /** Describes that call for people. */
  wants: z.string().exactOptional(),
});

const oneChange = z.union([applyRequest, stopRequest, deleteByFile, deleteByName, accessRequest]);

/**
 * The kind of a change. The policy sets the consent that each needs. Two change nothing in dstack: `send` permits plans to send something,
 * and `access` permits commands and uploads in a run.
 */
const operation = z.enum(['create', 'update', 'replace', 'stop', 'abort', 'delete', 'send', 'access']);

/** Everything that a token binds in addition to the operation and the argv. Bindings are compared field by field. */
const binding = fixed({
  /** The tool that may redeem it. */
  tool: z.enum(['apply', 'stop', 'delete', 'access']),
  resource,
  project: z.string(),
  server: z.string(),
  /** The working directory of the command; empty if it doesn't matter. */
  cwd: z.string(),
  /** SHA-256 of each file that affects the change (configuration, profiles, env files), by path; `absent` for a missing one. */
  files: z.record(z.string(), z.string()).readonly(),
  /** Id of the existing run or resource; null if there is none. */
  present: z.string().nullable(),
  /** Other resources that would be stopped or lost: runs, instances. */
  affected: texts,
  /** Dollars per hour for all nodes together; null if dstack shows no price. */
  pricePerHour: z.number().nullable(),
  /** The most that it can cost per hour, in dollars; null if that is unknown or has no limit. */
  mostPerHour: z.number().nullable(),
  cliVersion: z.string(),
  /** SHA-256 of the change requests that dstack may send; null if they can't be judged, because dstack isn't a Python script. */
  requests: z.string().nullable(),
});

/** The part of a plan that the user sees before approving. */
const summary = fixed({
  /** One sentence that says what would be done. */
  action: z.string(),
  resource,
  project: z.string(),
  server: z.string(),
  /** The machine that it would get now, and for how long at most; absent if dstack shows none. It isn't bound: dstack chooses again. */
  machine: z.string().optional(),
  /** Its maximum cost, in the words of the plan; absent for a change that costs nothing. */
  price: z.string().optional(),
  pricePerHour: z.number().optional(),
  /** The most that it can cost in total, in dollars. */
  totalPrice: z.union([z.number(), z.enum(['unlimited', 'unknown'])]).optional(),
  /** Every flag passed to dstack in addition to the file, with its value and documentation, one per line. */
  flags: texts.optional(),
  /** Work and data that would be stopped or lost, one per line. */
  losses: texts,
  /** Access that a run gets in addition to its own container, one per line. */
  access: texts.optional(),
  /** Everything that planning sent to the dstack server in addition to the configuration, or (for `send`) what it would do. */
  sends: texts.optional(),
  warnings: texts,
});

const part = {
  request: oneChange,
  operation,
  /** The exact argv that would be run. */
  argv: texts,
  binding,
  summary,
  /** The name that a person has to type for replace, abort and delete. Defaults to the resource's name. */
  nameToType: z.string().optional(),
  /** Whether it starts something that can reach the dstack server, and so may change more than this. */
  reachesServer: z.boolean().optional(),
};

/** A change of one resource, made by one command. */
const pendingPart = fixed(part);

/** A change that was shown and waits for consent. */
export const pendingChange = fixed({
  ...part,
  /** The request, for planning it again. */
  request: z.union([oneChange, stopSeveral]),
  /** The changes that the consent covers, each with its own command. What else is said here then describes them together. */
  parts: z.array(pendingPart).readonly().optional(),
});

export type ApplyRequest = z.output<typeof applyRequest>;
export type StopRequest = z.output<typeof stopRequest>;
export type StopSeveral = z.output<typeof stopSeveral>;
export type DeleteByFile = z.output<typeof deleteByFile>;
export type DeleteByName = z.output<typeof deleteByName>;
export type DeleteRequest = DeleteByName | DeleteByFile;
export type AccessUse = z.output<typeof accessUse>;
export type WaitingCall = z.output<typeof waitingCall>;
export type AccessRequest = z.output<typeof accessRequest>;
export type OneChange = z.output<typeof oneChange>;
export type ChangeRequest = OneChange | StopSeveral;
export type Operation = z.output<typeof operation>;
export type Binding = z.output<typeof binding>;
export type ConsentSummary = z.output<typeof summary>;
export type PendingPart = z.output<typeof pendingPart>;
export type PendingChange = z.output<typeof pendingChange>;

/** The part of a change that is known before dstack is asked about it. */
export interface KnownPart {
  readonly argv: readonly string[];
  readonly binding: Pick<Binding, 'project' | 'server' | 'cwd' | 'files' | 'cliVersion'>;
}

/** The way in which a change was approved, strongest first. */
export const consentLevel = z.enum(['person-card', 'person-form', 'person-dialog', 'token', 'policy']);
export type ConsentLevel = z.output<typeof consentLevel>;

/** Something that planning would send, or a host that it would contact, only after somebody has agreed. */
export interface Disclosure {
  readonly kind: 'repository' | 'ssh-key' | 'variable' | 'env-file';
  /** The URL of a repository, the path of a key, the name of a variable, or a file and a variable in it. */
  readonly subject: string;
  /** The effect, as in `send the private SSH key ~/.ssh/fleet to the dstack server`. */
  readonly action: string;
  /** SHA-256 of each credential that may be sent with it. */
  readonly credentials: readonly string[];
}
