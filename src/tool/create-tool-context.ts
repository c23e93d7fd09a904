import type { CallContext } from './call-context.ts';
import type { App } from '../app.ts';
import { createAttachService } from '../attachments/attach-service.ts';
import { createDeadline } from '../core/deadline.ts';
import { createChangeService } from '../changes/change-service.ts';
import { createDstackClient } from '../dstack/client/dstack-client.ts';
import { createConfigurationService } from '../configuration/configuration-service.ts';
import { examine } from '../doctor/doctor.ts';
import { readHelpPage } from '../dstack/client/help-page.ts';
import { readLogPage } from '../dstack/client/read-log-page.ts';
import type { ToolContext } from './tool-context.ts';

/** The powers of one call. */
export function createToolContext(engine: App, context: CallContext): ToolContext {
  const time = createDeadline({
    timeoutMs: engine.settings.timeoutMs,
    signal: context.signal,
    progress: context.progress,
  });
  const commands = createDstackClient(engine, time);
  return {
    dstack: { read: (request) => commands.read(request) },
    logs: (request, page) => readLogPage(commands, request, page),
    serverUrl: async (project) => (await engine.endpoint(project)).server,
    changes: createChangeService(engine, context, { commands, time }),
    attachments: createAttachService(engine, { commands, time }),
    time,
    config: createConfigurationService(engine),
    help: { page: (command, configurationType) => readHelpPage(engine, command, configurationType) },
    doctor: () => examine(engine, context, commands),
  };
}
