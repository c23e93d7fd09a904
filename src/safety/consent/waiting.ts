/** A change that waits for a person whom nobody can hurry: the call ends, and a later one with the same token goes on. */
export interface Waiting {
  readonly kind: 'waiting-for-person';
  readonly message: string;
  readonly next: string;
}

/** What is said while a person has a question before them. */
export const WAITING = {
  dialog: {
    kind: 'waiting-for-person',
    message: "A dialog on the person's desktop asks about this change. Nothing was changed yet.",
    next: 'Tell the user to answer the dialog, then call the tool again with the same token.',
  },
  card: {
    kind: 'waiting-for-person',
    message: 'The card asks the person about this change. Nothing was changed yet.',
    next: 'Tell the user to approve or decline it in the card. Once they have, call the tool again with the same token: it tells what came of it.',
  },
} as const satisfies Record<string, Waiting>;
