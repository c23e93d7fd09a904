import type { CallContext } from '../call.ts';
import type { Engine } from '../engine.ts';
import { createAttachPower } from './attach.ts';
import { createCallTime } from './call-time.ts';
import { createChangePower } from './changes.ts';
import { createCommandRunner } from './command-runner.ts';
import { createConfigPower } from './config-power.ts';
import { examine } from './doctor.ts';
import { readHelpPage } from './help.ts';
import { readLogPage } from './log-page.ts';
import type { Powers } from './powers.ts';

/** The powers of one call. */
export function createPowers(engine: Engine, context: CallContext): Powers {
  const time = createCallTime({
    timeoutMs: engine.settings.timeoutMs,
    signal: context.signal,
    progress: context.progress,
  });
  const commands = createCommandRunner(engine, time);
  return {
    dstack: { read: (request) => commands.read(request) },
    logs: (request, page) => readLogPage(commands, request, page),
    serverUrl: async (project) => (await engine.endpoint(project)).server,
    changes: createChangePower(engine, context, { commands, time }),
    attachments: createAttachPower(engine, { commands, time }),
    time,
    config: createConfigPower(engine),
    help: { page: (command, configurationType) => readHelpPage(engine, command, configurationType) },
    doctor: () => examine(engine, context, commands),
  };
}
