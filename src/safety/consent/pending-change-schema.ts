import * as z from 'zod';
import type {
  AccessRequest,
  AccessUse,
  ApplyRequest,
  Binding,
  ConsentSummary,
  DeleteByFile,
  DeleteByName,
  Operation,
  PendingChange,
  PendingPart,
  StopRequest,
  StopSeveral,
} from '../../core/change.ts';

/** A schema for each property of a type, optional ones included: the compiler reports one that was added later. */
type Schemas<T> = Record<keyof T, z.ZodType>;

const texts = z.array(z.string());
const project = z.string().optional();
const resource = z.strictObject({ kind: z.string(), name: z.string().optional() });

const oneChange = z.union([
  z.strictObject({
    tool: z.literal('apply'),
    file: z.string(),
    project,
    extraFlags: z.record(z.string(), z.unknown()).optional(),
    chosenName: z.string().optional(),
    agreement: z.literal(true).exactOptional(),
  } satisfies Schemas<ApplyRequest>),
  z.strictObject({
    tool: z.literal('stop'),
    run: z.string(),
    abort: z.boolean(),
    project,
  } satisfies Schemas<StopRequest>),
  z.strictObject({ tool: z.literal('delete'), file: z.string(), project } satisfies Schemas<DeleteByFile>),
  z.strictObject({
    tool: z.literal('delete'),
    kind: z.enum(['fleet', 'instance', 'volume', 'gateway']),
    name: z.string(),
    instance: z.number().optional(),
    project,
  } satisfies Schemas<DeleteByName>),
  z.strictObject({
    tool: z.literal('access'),
    run: z.string(),
    project,
    until: z.string(),
    use: z
      .strictObject({
        what: z.enum(['exec', 'upload']),
        text: z.string(),
        input: z.string().optional(),
      } satisfies Schemas<AccessUse>)
      .optional(),
    token: z.literal(true).exactOptional(),
  } satisfies Schemas<AccessRequest>),
]);

const several = z.strictObject({
  tool: z.literal('stop'),
  runs: texts,
  project,
} satisfies Schemas<StopSeveral>);

const operations = {
  create: 'create',
  update: 'update',
  replace: 'replace',
  stop: 'stop',
  abort: 'abort',
  delete: 'delete',
  send: 'send',
  access: 'access',
} as const satisfies { readonly [O in Operation]: O };

const binding = z.strictObject({
  tool: z.enum(['apply', 'stop', 'delete', 'access']),
  resource,
  project: z.string(),
  server: z.string(),
  cwd: z.string(),
  files: z.record(z.string(), z.string()),
  present: z.string().nullable(),
  affected: texts,
  pricePerHour: z.number().nullable(),
  mostPerHour: z.number().nullable(),
  cliVersion: z.string(),
  requests: z.string().nullable(),
} satisfies Schemas<Binding>);

const summary = z.strictObject({
  action: z.string(),
  resource,
  project: z.string(),
  server: z.string(),
  machine: z.string().optional(),
  price: z.string().optional(),
  pricePerHour: z.number().optional(),
  totalPrice: z.union([z.number(), z.literal('unlimited'), z.literal('unknown')]).optional(),
  flags: texts.optional(),
  losses: texts,
  access: texts.optional(),
  sends: texts.optional(),
  warnings: texts,
} satisfies Schemas<ConsentSummary>);

const part = {
  request: oneChange,
  operation: z.enum(operations),
  argv: texts,
  binding,
  summary,
  nameToType: z.string().optional(),
  reachesServer: z.boolean().optional(),
} satisfies Schemas<PendingPart>;

/** A pending change as another process wrote it. An unknown property fails: a newer server may bind more than this one compares. */
export const pendingChangeSchema = z.strictObject({
  ...part,
  request: z.union([oneChange, several]),
  parts: z.array(z.strictObject(part)).optional(),
} satisfies Schemas<PendingChange>) satisfies z.ZodType<PendingChange>;
