import { expect, test } from 'vitest';
import type { ToolError } from '../../../../src/core/errors.ts';
import {
  declined,
  foreignAnswer,
  nonceUnknown,
  personNeeded,
  planChanged,
  tokenExpired,
  tokenUnknown,
  usedUp,
  wrongName,
  wrongTool,
} from '../../../../src/safety/consent/consent-errors.ts';
import { pendingChange } from '../../../support/pending.ts';

const applied = pendingChange();
const stopped = pendingChange({ operation: 'abort', binding: { tool: 'stop' } });

// Made in the test, not on import: a mutant in a refusal is tried by the tests that reach it.
test.each<[string, () => ToolError, string, string, string]>([
  [
    'a no',
    () => declined(applied, 'declined'),
    'person-declined',
    'The person declined. Nothing was changed; the token is spent.',
    'Ask the user what they want instead. Call plan again and show what it says to the user before going on.',
  ],
  [
    'a question that was closed',
    () => declined(stopped, 'cancelled'),
    'person-declined',
    'The question was closed without an answer. Nothing was changed; the token is spent.',
    'Ask the user whether they still want it. Call stop again without a token and show what it says to the user before going on.',
  ],
  [
    'a wrong name',
    () => declined(stopped, 'wrong-name'),
    'person-declined',
    'The person typed another name than train, which counts as a no. Nothing was changed; the token is spent.',
    'Ask the user what they want instead. Call stop again without a token and show what it says to the user before going on.',
  ],
  [
    'a wrong name in the card',
    () => wrongName(stopped, 2),
    'wrong-name',
    "What was typed isn't the name train. Nothing was changed.",
    'Type that name to agree, or decline; 2 tries are left.',
  ],
  [
    'a wrong name in the card, for the last time',
    () => wrongName(stopped, 1),
    'wrong-name',
    "What was typed isn't the name train. Nothing was changed.",
    'Type that name to agree, or decline; one try is left.',
  ],
  [
    'an invented nonce',
    () => nonceUnknown(),
    'token-unknown',
    'This card is not known: this server did not show it, or was restarted since. This click changed nothing.',
    'If it was used before and no answer came, that change may have been made: look with ps, get or fleet. Then ask for a new plan, and decide in its card.',
  ],
  [
    'another plan',
    () => planChanged(applied, ['one thing', 'another']),
    'plan-changed',
    'Nothing was changed: what was agreed to is no longer what would happen: one thing; another. The token is spent.',
    'Call plan again and show what it says to the user before going on.',
  ],
  [
    'nobody to ask',
    () => personNeeded('there is no display'),
    'person-needed',
    "This change needs a person's yes, and no person can be asked: there is no display. Nothing was changed.",
    'Tell the user that the change waits for them; the doctor tool shows what this client and this machine can do.',
  ],
  [
    'the answer to another question',
    () => foreignAnswer(),
    'person-needed',
    'That answer belongs to another question. Nothing was changed.',
    'Call the tool again with the token: the person is asked about this change.',
  ],
  [
    'a token for another tool',
    () => wrongTool(stopped, 'apply'),
    'token-unknown',
    'That token is for stop, not for apply. Nothing was changed.',
    'Use it with stop, or ask plan for a preview of its own.',
  ],
  [
    'a token of apply for another tool',
    () => wrongTool(applied, 'delete'),
    'token-unknown',
    'That token is for apply, not for delete. Nothing was changed.',
    'Use it with apply, or ask delete for a preview of its own.',
  ],
  [
    'a used token',
    () => usedUp('the server went away'),
    'token-used',
    'This token was used already: the server went away. Nothing was done again.',
    'Look at what is there (ps, get, fleet, list) before anything else.',
  ],
  [
    'an old token',
    () => tokenExpired(applied, 'Too old.'),
    'token-expired',
    'Too old. Nothing was changed.',
    'Call plan again and show what it says to the user before going on.',
  ],
  [
    'an invented token',
    () => tokenUnknown(),
    'token-unknown',
    "This server didn't give out that token, or was restarted since. This call changed nothing.",
    'If it was used before and no answer came, that change may have been made: look with ps, get or fleet. Else copy the token from the preview unchanged; if there is none, call plan (or stop, delete without a token) to get one.',
  ],
])(
  '%s is refused in words that say what it is and what to do, and never how to do without',
  (_what, refuse, code, message, hint) => {
    const error = refuse();
    expect(error).toMatchObject({ code, message, hint });
    expect(`${error.message} ${error.hint}`).not.toMatch(/DSTACK_MCP|policy|confirm/i);
  },
);
