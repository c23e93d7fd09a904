import { expect, onTestFinished } from 'vitest';
import { stopRuns } from './ask-server.ts';
import { agreeing, connect } from './connect.ts';
import type { Answer, AtEnd, PersonAnswer, TestClient } from './connect.ts';
import { createTestHome } from './test-home.ts';
import type { TestHome } from './test-home.ts';
import { until } from './wait.ts';

type Configuration = Readonly<Record<string, unknown>> | string;

/** A client with a person who approves every change, and helpers to make changes. */
export interface ChangeClient {
  readonly home: TestHome;
  readonly client: TestClient;
  /** The prompts that the person got, in order. */
  readonly prompts: readonly string[];
  /** Makes the person answer the next prompt in this way. */
  answerNext(answer: PersonAnswer): void;
  /** Plans a configuration. */
  plan(configuration: Configuration, more?: Readonly<Record<string, unknown>>): Promise<Answer>;
  /** Applies a plan. */
  apply(plan: Answer): Promise<Answer>;
  /** Plans and applies a configuration, whose run is stopped at the end: by default, of the test. */
  start(name: string, configuration: Configuration, atEnd?: AtEnd): Promise<Answer>;
}

export async function connectChangeClient(atEnd: AtEnd): Promise<ChangeClient> {
  const home = await createTestHome({ atEnd });
  const prompts: string[] = [];
  const answers: PersonAnswer[] = [];
  const client = await connect({
    env: home.env,
    atEnd,
    person: (message, field) => {
      prompts.push(message);
      return answers.shift() ?? agreeing(message, field);
    },
  });
  const plan: ChangeClient['plan'] = async (configuration, more = {}) =>
    client.call('plan', { file: await home.write('this.dstack.yml', configuration), ...more });
  const apply: ChangeClient['apply'] = (planned) => client.call('apply', { token: planned.facts['token'] });
  return {
    home,
    client,
    prompts,
    plan,
    apply,
    answerNext: (answer) => void answers.push(answer),
    async start(name, configuration, runEnd = onTestFinished) {
      runEnd(() => stopRuns(name));
      // Another test may take the planned instance: then the price rises and the approved change is refused.
      const applied = await until(
        async () => {
          const planned = await plan(configuration);
          expect(planned.facts['outcome'], planned.text).toBe('done');
          return apply(planned);
        },
        ({ facts }) => facts['code'] !== 'plan-changed',
      );
      expect(applied.facts['outcome'], applied.text).toBe('done');
      return applied;
    },
  };
}

/** Expects a plan that can't be applied: no token, dstack's words, the next step. */
export function expectBlocked(plan: Answer, { says, next }: { says: RegExp; next: RegExp }): void {
  expect(plan.facts['outcome'], plan.text).toBe('blocked');
  expect(plan.facts['token']).toBeUndefined();
  expect(plan.text).not.toContain('token:');
  expect(plan.facts['summary']).toMatch(says);
  expect(plan.facts['output']).toMatch(says);
  expect(plan.facts['next']).toMatch(next);
}
