import type { Client } from '@modelcontextprotocol/client';
import * as z from 'zod';

/** A call that checks its own response. */
export interface SoakCall {
  readonly name: string;
  /** @throws if the call ends without a response. */
  readonly run: (signal: AbortSignal) => Promise<Verdict>;
}

/** `killed`: the response reports that the dstack command was killed. */
export type Verdict = 'right' | 'killed' | { readonly wrong: string };

const structured = z.looseObject({ outcome: z.string(), output: z.string().optional(), code: z.string().optional() });

/** Calls as in a conversation with an agent, mistakes included. None of them changes anything. */
const MIX: readonly (readonly [tool: string, input: Record<string, unknown>, outcome: string, output: RegExp])[] = [
  ['ps', { last: 5 }, 'done', /^\$ dstack ps/],
  ['ps', { all: true, last: 20 }, 'done', /^\$ dstack ps/],
  ['help', { command: 'apply' }, 'done', /dstack apply/],
  ['help', { command: 'fleet get' }, 'done', /dstack fleet get/],
  ['offer', { gpu: 'H100', max_offers: 3 }, 'done', /H100/],
  ['fleet', {}, 'done', /cloud/],
  ['fleet', { name: 'on-prem' }, 'done', /"name": "on-prem"/],
  ['list', { type: 'volumes' }, 'done', /^\$ dstack volume/],
  ['get', { name: 'no-such-run' }, 'failed', /no-such-run/],
  ['plan', { file: 'soak.dstack.yml' }, 'done', /Submit the run soak\?/],
  ['plan', { file: 'missing.dstack.yml' }, 'refused', /^$/],
  ['config', { action: 'validate', file: 'soak.dstack.yml' }, 'done', /^/],
  ['ps', { last: 'many' }, 'refused', /^$/],
];

export function createCalls(client: Client): readonly SoakCall[] {
  return MIX.map(([tool, input, outcome, output]) => ({
    name: `${tool} ${JSON.stringify(input)}`,
    run: async (signal) => {
      const answer = await client.callTool({ name: tool, arguments: input }, { signal, timeout: 120_000 });
      const facts = structured.parse(answer.structuredContent);
      // The retry guard repeats the error of a call that has just failed.
      if (facts.code === 'retry-refused') return 'right';
      if (facts.output?.endsWith('(ended by SIGKILL)') === true) return 'killed';
      if (facts.outcome !== outcome)
        return { wrong: `outcome ${facts.outcome} instead of ${outcome}: ${facts.output}` };
      return output.test(facts.output ?? '') ? 'right' : { wrong: 'the output of a different call' };
    },
  }));
}
