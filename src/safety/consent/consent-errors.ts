import { ToolError } from '../../core/errors.ts';
import { nameToType } from './describe-change.ts';
import type { PendingChange } from '../../core/change.ts';
import type { Requirement } from '../policy/policy.ts';

/** Returns the next step towards a new token for the same change. */
function previewAgain(change: PendingChange): string {
  const { tool } = change.binding;
  return `${PREVIEW_AGAIN[tool]} and show the user its result before you continue.`;
}

const PREVIEW_AGAIN = {
  apply: 'Call plan again',
  stop: 'Call stop again',
  delete: 'Call delete again',
  access: 'Make the call that needs this again',
} as const satisfies Record<PendingChange['binding']['tool'], string>;

/** The user didn't approve. The ways are distinguished, because a rejection is an answer and a closed form is not. */
export function declined(change: PendingChange, how: 'declined' | 'cancelled' | 'wrong-name'): ToolError {
  const what = {
    declined: 'The user declined.',
    cancelled: 'The approval prompt was closed without an answer.',
    'wrong-name': `The user typed a name other than ${nameToType(change) ?? ''}, which counts as a rejection.`,
  }[how];
  const next =
    how === 'cancelled' ? 'Ask the user whether they still want this.' : 'Ask the user what they want instead.';
  return new ToolError(
    how === 'cancelled' ? 'not-answered' : 'person-declined',
    `${what} Nothing was changed; the token is no longer valid.`,
    `${next} ${previewAgain(change)}`,
  );
}

/** The user typed a wrong name in the card, and may try again. */
export const wrongName = (change: PendingChange, left: number): ToolError =>
  new ToolError(
    'wrong-name',
    `The typed name isn't ${nameToType(change) ?? ''}. Nothing was changed.`,
    `Type that name to approve, or decline; ${left === 1 ? 'one try is left' : `${left} tries are left`}.`,
  );

/** The change would no longer be the one that was shown. */
export function planChanged(change: PendingChange, differences: readonly string[]): ToolError {
  return new ToolError(
    'plan-changed',
    `The plan changed after it was approved: ${differences.join('; ')}. Nothing was changed; the token is no longer valid.`,
    previewAgain(change),
  );
}

/** A person has to approve, and none can be asked. Never says how to do without. */
export function personNeeded(why: string): ToolError {
  return new ToolError(
    'person-needed',
    `This change needs the user's approval, but the user can't be prompted: ${why}. Nothing was changed.`,
    'Tell the user that the change waits for their approval; doctor shows how this client and this machine can ask for it.',
  );
}

/**
 * The client answered the form before a person could: nobody was asked, so nobody declined. Only the operator can allow changes without
 * a person; with `person` they have decided against that.
 */
export function nobodyAsked(requirement: Requirement): ToolError {
  const unattended =
    requirement === 'person'
      ? ''
      : ' For unattended use, the operator of this server sets DSTACK_MCP_CONFIRM=token or a policy in its configuration.';
  return new ToolError(
    'nobody-asked',
    'Nobody was asked: the client answered the approval form automatically, before a person could have read it. Nothing was changed; the token is still valid.',
    `Tell the user that their client answers such forms without showing them, as clients do without a terminal and with an approval policy that never asks. Where it shows them, call the tool again with the same token.${unattended}`,
  );
}

/** A dialog was announced, so that nobody else asked the user. */
export const dialogFailed = (why: string): ToolError =>
  new ToolError(
    'nobody-asked',
    `Nobody was asked: the dialog on the user's desktop couldn't be shown (${why}). Nothing was changed; the token is still valid.`,
    'Show the plan to the user yourself. Only after they approve it, call apply again with the same token.',
  );

/** The answer came with the token of another change. */
export const foreignAnswer = (): ToolError =>
  new ToolError(
    'person-needed',
    'This answer belongs to another question. Nothing was changed.',
    'Call the tool again with the token: it asks the user about this change.',
  );

/** The token was used, and its result isn't available. */
export const usedUp = (reason: string): ToolError =>
  new ToolError(
    'token-used',
    `This token was already used: ${reason}. Nothing was done again.`,
    'Check the current state with ps, get, fleet or list before anything else.',
  );

/** Another process of this user has used the token, or the user declined there. */
export const tokenEndedElsewhere = (): ToolError =>
  new ToolError(
    'token-used',
    'This token is no longer valid: another dstack-mcp process has used it, or the user declined there. This call changed nothing.',
    'Check the current state with ps, get, fleet or list before anything else.',
  );

/** The token can no longer be redeemed. */
export const tokenExpired = (change: PendingChange, why: string): ToolError =>
  new ToolError('token-expired', `${why} Nothing was changed.`, previewAgain(change));

/** dstack continues a change even if the server that started it has exited. */
const CHECK_FIRST =
  'If it was used before without an answer, that change may have been made: check with ps, get or fleet.';

/** No card of this process has this nonce. */
export const nonceUnknown = (): ToolError =>
  new ToolError(
    'token-unknown',
    "Unknown card: this server didn't show it, or was restarted since. This click changed nothing.",
    `${CHECK_FIRST} Then ask for a new plan, and approve or decline it in its card.`,
  );

/** No process of this user issued the token in the last minutes, or it couldn't be stored for this one. */
export const tokenUnknown = (): ToolError =>
  new ToolError(
    'token-unknown',
    "Unknown token: no server of yours issued it within the last day, or it couldn't be stored. This call changed nothing.",
    `${CHECK_FIRST} Otherwise copy the token from the preview unchanged; if there is none, call plan, stop or delete to get one.`,
  );
