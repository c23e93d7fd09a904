/** A change that somebody asked for. */
export type ChangeRequest = ApplyRequest | StopRequest | DeleteRequest;

export interface ApplyRequest {
  readonly tool: 'apply';
  readonly file: string;
  readonly project?: string | undefined;
  readonly extraFlags?: Readonly<Record<string, unknown>> | undefined;
}

export interface StopRequest {
  readonly tool: 'stop';
  readonly run: string;
  readonly abort: boolean;
  readonly project?: string | undefined;
}

export type DeleteRequest = DeleteByName | DeleteByFile;

/** What is deleted is named by its configuration file: the one way in which dstack deletes a finished run. */
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

/** Everything that a token binds beside the operation and the argv. Two bindings are compared field by field. */
export interface Binding {
  /** The tool that may redeem it. */
  readonly tool: 'apply' | 'stop' | 'delete';
  readonly resource: { readonly kind: string; readonly name?: string | undefined };
  readonly project: string;
  readonly server: string;
  /** The working directory of the command; empty where it doesn't matter. */
  readonly cwd: string;
  /** SHA-256 of each file that decides what happens (configuration, profiles, env files), by path; `absent` where there is none. */
  readonly files: Readonly<Record<string, string>>;
  /** Id of the run or resource that is there now, null where there is none. */
  readonly present: string | null;
  /** What would be stopped or lost with it: runs, instances. */
  readonly affected: readonly string[];
  /** Dollars an hour for all nodes together, null where dstack shows none. */
  readonly pricePerHour: number | null;
  readonly cliVersion: string;
}

/** What the person is shown, in plain words. */
export interface ConsentSummary {
  /** One sentence: what would be done. */
  readonly action: string;
  readonly resource: { readonly kind: string; readonly name?: string | undefined };
  readonly project: string;
  readonly server: string;
  readonly pricePerHour?: number | undefined;
  /** Dollars at most, where a `max_duration` bounds it. */
  readonly totalPrice?: number | undefined;
  /** Every flag that goes to dstack beside the file, with its values and what it is documented to do; one line each. */
  readonly flags?: readonly string[] | undefined;
  /** What would be stopped or lost, one line each. */
  readonly losses: readonly string[];
  readonly warnings: readonly string[];
}

/** A change that was shown and waits for consent. */
export interface PendingChange {
  /** What was asked for, to plan it once more. */
  readonly request: ChangeRequest;
  readonly operation: Operation;
  /** The argv that would be run, word for word. */
  readonly argv: readonly string[];
  readonly binding: Binding;
  readonly summary: ConsentSummary;
  /** The name that a person has to type for replace, abort and delete; the resource's own unless given. */
  readonly nameToType?: string | undefined;
}

/** What kind of thing is to be done to the world; the policy sets the level of consent that each needs. */
export type Operation = 'create' | 'update' | 'replace' | 'stop' | 'abort' | 'delete';

/** How a person (or the operator) agreed, strongest first. */
export type ConsentLevel = 'person-card' | 'person-form' | 'person-dialog' | 'token' | 'policy';
