/** Something that planning would send, or a host that it would contact, only after somebody has agreed. */
export interface Disclosure {
  readonly kind: 'repository' | 'ssh-key' | 'variable';
  /** The URL of a repository, the path of a key, or the name of a variable. */
  readonly subject: string;
  /** The effect, as in `send the private SSH key ~/.ssh/fleet to the dstack server`. */
  readonly action: string;
  /** SHA-256 of each credential that may be sent with it. */
  readonly credentials: readonly string[];
}
