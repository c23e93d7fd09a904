import type { CommandRequest } from '../cli/command.ts';
import type { Transcript } from '../cli/runner.ts';
import type { CardDecision } from '../safety/gate.ts';
import type { LogPage, LogPageRequest } from '../runs/page-log.ts';
import type { Question, Report } from '../tool.ts';
import type { AttachPower } from './attach.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { ConfigPower } from './config-power.ts';

/** What a tool may do: read through the dstack CLI, ask for a change to be previewed, and redeem a token for one. */
export interface Powers {
  readonly dstack: DstackPower;
  readonly changes: ChangePower;
  readonly attachments: AttachPower;
  readonly time: TimePower;
  readonly help: HelpPower;
  readonly config: ConfigPower;
  /** Reads a log through its pager: bounded memory, however long the log is. */
  readonly logs: (request: CommandRequest, page: LogPageRequest) => Promise<{ transcript: Transcript; page: LogPage }>;
  /** The server of a project, which addresses of services may be relative to. */
  readonly serverUrl: (project: string | undefined) => Promise<string | undefined>;
  readonly doctor: () => Promise<DoctorReport>;
}

/** Reading through the installed CLI. */
export interface DstackPower {
  /**
   * Runs a read-only command and gives what it printed.
   * @throws CommandFailed when dstack said no; the call then ends with dstack's words and the next step.
   */
  read(request: CommandRequest): Promise<Transcript>;
}

/** Changes, in two steps: a preview that mints a token, and its redemption. */
export interface ChangePower {
  preview(request: ChangeRequest): Promise<Report<ChangeFacts>>;
  /** `tool` is the one that the token must have been minted for. */
  redeem(token: string, tool: ChangeRequest['tool']): Promise<Report<ChangeFacts> | Question>;
  /** A person's click in the card. */
  decide(decision: CardDecision): Promise<Report<ChangeFacts> | Question>;
}

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

export interface TimePower {
  /** Milliseconds until the call has to answer. */
  remainingMs(): number;
  readonly signal: AbortSignal;
  /** Tells the client how far the call is; dropped where the client didn't ask for it. */
  progress(message: string): void;
}

export interface HelpPower {
  /** The verbatim `--help` of a command. @throws ToolError `unknown-command` with the documented ones. */
  page(command: string, configurationType?: string): Promise<{ transcript: Transcript }>;
}

export interface DoctorCheck {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'wrong';
  readonly found: string;
  readonly mend?: string;
}

export interface DoctorReport {
  readonly checks: readonly DoctorCheck[];
  /** What the calls of this process came to; none where it serves no client. */
  readonly counters?: Readonly<Record<string, unknown>>;
}
