import type { AnyTool } from '../src/tool/tool.ts';
import { apply } from './apply.ts';
import { attach } from './attach.ts';
import { config } from './config.ts';
import { copy } from './copy.ts';
import { decide } from './decide.ts';
import { deleteTool } from './delete.ts';
import { doctor } from './doctor.ts';
import { exec } from './exec.ts';
import { event } from './event.ts';
import { fleet } from './fleet.ts';
import { get } from './get.ts';
import { help } from './help.ts';
import { list } from './list.ts';
import { logs } from './logs.ts';
import { metrics } from './metrics.ts';
import { offer } from './offer.ts';
import { plan } from './plan.ts';
import { ps } from './ps.ts';
import { request } from './request.ts';
import { stop } from './stop.ts';
import { writeConfig } from './write-config.ts';

/** Every tool, in the order of typical use. */
export const tools: readonly AnyTool[] = [
  plan,
  apply,
  ps,
  attach,
  exec,
  copy,
  request,
  logs,
  stop,
  fleet,
  offer,
  deleteTool,
  get,
  list,
  event,
  metrics,
  config,
  writeConfig,
  help,
  doctor,
  // Useless to a model, so it comes last.
  decide,
];
