import type { Limit } from './cost.ts';

/** A requested change. */
export type ChangeRequest = OneChange | StopSeveral;

/** A change of one resource. */
export type OneChange = ApplyRequest | StopRequest | DeleteRequest | AccessRequest;

export interface ApplyRequest {
  readonly tool: 'apply';
  readonly file: string;
  readonly project?: string | undefined;
  readonly extraFlags?: Readonly<Record<string, unknown>> | undefined;
  /** The name that was chosen for it, because its file has none. */
  readonly chosenName?: string | undefined;
  /** Asks for the consent to what planning would send, instead of the plan. */
  readonly agreement?: true;
}

export interface StopRequest {
  readonly tool: 'stop';
  readonly run: string;
  readonly abort: boolean;
  readonly project?: string | undefined;
}

/** Stops several runs with one consent. They aren't aborted: that takes the typed name of each. */
export interface StopSeveral {
  readonly tool: 'stop';
  readonly runs: readonly string[];
  readonly project?: string | undefined;
}

export type DeleteRequest = DeleteByName | DeleteByFile;

/** Deletes the resource of a configuration file: the only way in which dstack deletes a finished run. */
export interface DeleteByFile {
  readonly tool: 'delete';
  readonly file: string;
  readonly project?: string | undefined;
}

export interface DeleteByName {
  readonly tool: 'delete';
  readonly kind: 'fleet' | 'instance' | 'volume' | 'gateway';
  readonly name: string;
  /** Number of the instance within the fleet `name`. */
  readonly instance?: number | undefined;
  readonly project?: string | undefined;
}

/** Asks for the consent to run commands in a run, and to upload files to it. It changes nothing in dstack. */
export interface AccessRequest {
  readonly tool: 'access';
  readonly run: string;
  readonly project?: string | undefined;
  /** The time (ISO 8601) at which the consent ends, if the run doesn't end before. */
  readonly until: string;
  /** The only use that is consented to, once. Defaults to every command and upload. */
  readonly use?: AccessUse | undefined;
  /** Consents to requests with the user's token instead, which the program of the run gets. */
  readonly token?: true;
}

/** One use of a run: a command, or an upload. */
export interface AccessUse {
  readonly what: 'exec' | 'upload';
  /** The whole command line, or what is uploaded to where. Whatever else the model chose about it has to be in `input`. */
  readonly text: string;
  /** The standard input of the command, which decides what a shell or an interpreter does. */
  readonly input?: string | undefined;
}

/** Everything that a token binds in addition to the operation and the argv. Bindings are compared field by field. */
export interface Binding {
  /** The tool that may redeem it. */
  readonly tool: 'apply' | 'stop' | 'delete' | 'access';
  readonly resource: { readonly kind: string; readonly name?: string | undefined };
  readonly project: string;
  readonly server: string;
  /** The working directory of the command; empty if it doesn't matter. */
  readonly cwd: string;
  /** SHA-256 of each file that affects the change (configuration, profiles, env files), by path; `absent` for a missing one. */
  readonly files: Readonly<Record<string, string>>;
  /** Id of the existing run or resource; null if there is none. */
  readonly present: string | null;
  /** Other resources that would be stopped or lost: runs, instances. */
  readonly affected: readonly string[];
  /** Dollars per hour for all nodes together; null if dstack shows no price. */
  readonly pricePerHour: number | null;
  /** The most that it can cost per hour, in dollars; null if that is unknown or has no limit. */
  readonly mostPerHour: number | null;
  readonly cliVersion: string;
  /** SHA-256 of the change requests that dstack may send; null if they can't be judged, because dstack isn't a Python script. */
  readonly requests: string | null;
}

/** The part of a change that is known before dstack is asked about it. */
export interface KnownPart {
  readonly argv: readonly string[];
  readonly binding: Pick<Binding, 'project' | 'server' | 'cwd' | 'files' | 'cliVersion'>;
}

/** The part of a plan that the user sees before approving. */
export interface ConsentSummary {
  /** One sentence that says what would be done. */
  readonly action: string;
  readonly resource: { readonly kind: string; readonly name?: string | undefined };
  readonly project: string;
  readonly server: string;
  /** The machine that it would get now, and for how long at most; absent if dstack shows none. It isn't bound: dstack chooses again. */
  readonly machine?: string | undefined;
  /** Its maximum cost, in the words of the plan; absent for a change that costs nothing. */
  readonly price?: string | undefined;
  readonly pricePerHour?: number | undefined;
  /** The most that it can cost in total, in dollars. */
  readonly totalPrice?: Limit | undefined;
  /** Every flag passed to dstack in addition to the file, with its value and documentation, one per line. */
  readonly flags?: readonly string[] | undefined;
  /** Work and data that would be stopped or lost, one per line. */
  readonly losses: readonly string[];
  /** Access that a run gets in addition to its own container, one per line. */
  readonly access?: readonly string[] | undefined;
  /** Everything that planning sent to the dstack server in addition to the configuration, or (for `send`) what it would do. */
  readonly sends?: readonly string[] | undefined;
  readonly warnings: readonly string[];
}

/** A change that was shown and waits for consent. */
export interface PendingChange extends Omit<PendingPart, 'request'> {
  /** The request, for planning it again. */
  readonly request: ChangeRequest;
  /** The changes that the consent covers, each with its own command. What else is said here then describes them together. */
  readonly parts?: readonly PendingPart[] | undefined;
}

/** A change of one resource, made by one command. */
export interface PendingPart {
  readonly request: OneChange;
  readonly operation: Operation;
  /** The exact argv that would be run. */
  readonly argv: readonly string[];
  readonly binding: Binding;
  readonly summary: ConsentSummary;
  /** The name that a person has to type for replace, abort and delete. Defaults to the resource's name. */
  readonly nameToType?: string | undefined;
  /** Whether it starts something that can reach the dstack server, and so may change more than this. */
  readonly reachesServer?: boolean | undefined;
}

/**
 * The kind of a change. The policy sets the consent that each needs. Two change nothing in dstack: `send` permits plans to send something,
 * and `access` permits commands and uploads in a run.
 */
export type Operation = 'create' | 'update' | 'replace' | 'stop' | 'abort' | 'delete' | 'send' | 'access';

/** The way in which a change was approved, strongest first. */
export type ConsentLevel = 'person-card' | 'person-form' | 'person-dialog' | 'token' | 'policy';
