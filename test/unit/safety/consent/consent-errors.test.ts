import { expect, test } from 'vitest';
import type { ToolError } from '../../../../src/core/errors.ts';
import {
  declined,
  foreignAnswer,
  nonceUnknown,
  personNeeded,
  planChanged,
  tokenEndedElsewhere,
  tokenExpired,
  tokenUnknown,
  usedUp,
  wrongName,
} from '../../../../src/safety/consent/consent-errors.ts';
import { pendingChange } from '../../../support/pending-change.ts';

const applied = pendingChange();
const stopped = pendingChange({ operation: 'abort', binding: { tool: 'stop' } });

// Created in the test, not on import, so that a mutant in a refusal runs in the tests that cover it.
test.each<[string, () => ToolError, string, string, string]>([
  [
    'a rejection',
    () => declined(applied, 'declined'),
    'person-declined',
    'The user declined. Nothing was changed; the token is no longer valid.',
    'Ask the user what they want instead. Call plan again and show the user its result before you continue.',
  ],
  [
    'a prompt that was closed',
    () => declined(stopped, 'cancelled'),
    'not-answered',
    'The approval prompt was closed without an answer. Nothing was changed; the token is no longer valid.',
    'Ask the user whether they still want this. Call stop again and show the user its result before you continue.',
  ],
  [
    'a wrong name',
    () => declined(stopped, 'wrong-name'),
    'person-declined',
    'The user typed a name other than train, which counts as a rejection. Nothing was changed; the token is no longer valid.',
    'Ask the user what they want instead. Call stop again and show the user its result before you continue.',
  ],
  [
    'a wrong name in the card',
    () => wrongName(stopped, 2),
    'wrong-name',
    "The typed name isn't train. Nothing was changed.",
    'Type that name to approve, or decline; 2 tries are left.',
  ],
  [
    'a wrong name in the card, for the last time',
    () => wrongName(stopped, 1),
    'wrong-name',
    "The typed name isn't train. Nothing was changed.",
    'Type that name to approve, or decline; one try is left.',
  ],
  [
    'an unknown nonce',
    () => nonceUnknown(),
    'token-unknown',
    "Unknown card: this server didn't show it, or was restarted since. This click changed nothing.",
    'If it was used before without an answer, that change may have been made: check with ps, get or fleet. Then ask for a new plan, and approve or decline it in its card.',
  ],
  [
    'a plan that changed',
    () => planChanged(applied, ['one thing', 'another']),
    'plan-changed',
    'The plan changed after it was approved: one thing; another. Nothing was changed; the token is no longer valid.',
    'Call plan again and show the user its result before you continue.',
  ],
  [
    'no user to prompt',
    () => personNeeded('there is no display'),
    'person-needed',
    "This change needs the user's approval, but the user can't be prompted: there is no display. Nothing was changed.",
    'Tell the user that the change waits for their approval; doctor shows how this client and this machine can ask for it.',
  ],
  [
    'the answer to another question',
    () => foreignAnswer(),
    'person-needed',
    'This answer belongs to another question. Nothing was changed.',
    'Call the tool again with the token: it asks the user about this change.',
  ],
  [
    'a used token',
    () => usedUp('the server went away'),
    'token-used',
    'This token was already used: the server went away. Nothing was done again.',
    'Check the current state with ps, get, fleet or list before anything else.',
  ],
  [
    'an expired token',
    () => tokenExpired(applied, 'Too old.'),
    'token-expired',
    'Too old. Nothing was changed.',
    'Call plan again and show the user its result before you continue.',
  ],
  [
    'a token that another process has ended',
    () => tokenEndedElsewhere(),
    'token-used',
    'This token is no longer valid: another dstack-mcp process has used it, or the user declined there. This call changed nothing.',
    'Check the current state with ps, get, fleet or list before anything else.',
  ],
  [
    'an unknown token',
    () => tokenUnknown(),
    'token-unknown',
    "Unknown token: no server of yours issued it within the last day, or it couldn't be stored. This call changed nothing.",
    'If it was used before without an answer, that change may have been made: check with ps, get or fleet. Otherwise copy the token from the preview unchanged; if there is none, call plan, stop or delete to get one.',
  ],
])(
  '%s is refused with what happened and what to do next, and never with a way around it',
  (_what, refuse, code, message, hint) => {
    const error = refuse();
    expect(error).toMatchObject({ code, message, hint });
    expect(`${error.message} ${error.hint}`).not.toMatch(/DSTACK_MCP|policy|confirm/i);
  },
);
