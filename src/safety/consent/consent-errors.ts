import { ToolError } from '../../core/errors.ts';
import { nameToType } from './describe-change.ts';
import type { PendingChange } from '../../core/change.ts';

/** The next step that leads to a new token for the same wish. */
function previewAgain(change: PendingChange): string {
  const { tool } = change.binding;
  const how = tool === 'apply' ? 'Call plan again' : `Call ${tool} again without a token`;
  return `${how} and show what it says to the user before going on.`;
}

/** Nobody said yes: told apart, because a no is an answer and a closed form is not. */
export function declined(change: PendingChange, how: 'declined' | 'cancelled' | 'wrong-name'): ToolError {
  const what = {
    declined: 'The person declined.',
    cancelled: 'The question was closed without an answer.',
    'wrong-name': `The person typed another name than ${nameToType(change) ?? ''}, which counts as a no.`,
  }[how];
  const next =
    how === 'cancelled' ? 'Ask the user whether they still want it.' : 'Ask the user what they want instead.';
  return new ToolError(
    'person-declined',
    `${what} Nothing was changed; the token is spent.`,
    `${next} ${previewAgain(change)}`,
  );
}

/** Another name was typed in the card, and may be typed again. */
export const wrongName = (change: PendingChange, left: number): ToolError =>
  new ToolError(
    'wrong-name',
    `What was typed isn't the name ${nameToType(change) ?? ''}. Nothing was changed.`,
    `Type that name to agree, or decline; ${left === 1 ? 'one try is left' : `${left} tries are left`}.`,
  );

/** What was shown is no longer what would happen. */
export function planChanged(change: PendingChange, differences: readonly string[]): ToolError {
  return new ToolError(
    'plan-changed',
    `Nothing was changed: what was agreed to is no longer what would happen: ${differences.join('; ')}. The token is spent.`,
    previewAgain(change),
  );
}

/** A person is needed and none can be asked. Says nothing about how to do without. */
export function personNeeded(why: string): ToolError {
  return new ToolError(
    'person-needed',
    `This change needs a person's yes, and no person can be asked: ${why}. Nothing was changed.`,
    'Tell the user that the change waits for them; the doctor tool shows what this client and this machine can do.',
  );
}

/** The answer of a person came with the token of another question. */
export const foreignAnswer = (): ToolError =>
  new ToolError(
    'person-needed',
    'That answer belongs to another question. Nothing was changed.',
    'Call the tool again with the token: the person is asked about this change.',
  );

/** The token was minted for another tool. */
export const wrongTool = (change: PendingChange, tool: string): ToolError =>
  new ToolError(
    'token-unknown',
    `That token is for ${change.binding.tool}, not for ${tool}. Nothing was changed.`,
    `Use it with ${change.binding.tool}, or ask ${tool === 'apply' ? 'plan' : tool} for a preview of its own.`,
  );

/** The token was used, and there is no result to repeat. */
export const usedUp = (reason: string): ToolError =>
  new ToolError(
    'token-used',
    `This token was used already: ${reason}. Nothing was done again.`,
    'Look at what is there (ps, get, fleet, list) before anything else.',
  );

/** A token was given out that can no longer be redeemed. */
export const tokenExpired = (change: PendingChange, why: string): ToolError =>
  new ToolError('token-expired', `${why} Nothing was changed.`, previewAgain(change));

/** dstack goes on with a change when the server that began it is gone. */
const LOOK_FIRST =
  'If it was used before and no answer came, that change may have been made: look with ps, get or fleet.';

/** No card of this process has that nonce. */
export const nonceUnknown = (): ToolError =>
  new ToolError(
    'token-unknown',
    'This card is not known: this server did not show it, or was restarted since. This click changed nothing.',
    `${LOOK_FIRST} Then ask for a new plan, and decide in its card.`,
  );

/** No such token was given out by this process. */
export const tokenUnknown = (): ToolError =>
  new ToolError(
    'token-unknown',
    "This server didn't give out that token, or was restarted since. This call changed nothing.",
    `${LOOK_FIRST} Else copy the token from the preview unchanged; if there is none, call plan (or stop, delete without a token) to get one.`,
  );
