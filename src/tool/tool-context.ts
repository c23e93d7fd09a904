import type { CommandRequest } from '../dstack/argv/command.ts';
import type { Transcript } from '../core/transcript.ts';
import type { LogPage, LogPageRequest } from '../dstack/output/page-log.ts';
import type { AttachService } from '../attachments/attach-service.ts';
import type { ConfigurationService } from '../configuration/configuration-service.ts';
import type { Deadline } from '../core/deadline.ts';
import type { DoctorReport } from '../doctor/report.ts';
import type { ChangeService } from '../changes/change-service.ts';
import type { DstackReader } from '../dstack/client/dstack-client.ts';
import type { HelpService } from '../dstack/client/help-page.ts';

/** What a tool may do: read through the dstack CLI, ask for a change to be previewed, and redeem a token for one. */
export interface ToolContext {
  readonly dstack: DstackReader;
  readonly changes: ChangeService;
  readonly attachments: AttachService;
  readonly time: Deadline;
  readonly help: HelpService;
  readonly config: ConfigurationService;
  /** Reads a log through its pager: bounded memory, however long the log is. */
  readonly logs: (request: CommandRequest, page: LogPageRequest) => Promise<{ transcript: Transcript; page: LogPage }>;
  /** The server of a project, which addresses of services may be relative to. */
  readonly serverUrl: (project: string | undefined) => Promise<string | undefined>;
  readonly doctor: () => Promise<DoctorReport>;
}
