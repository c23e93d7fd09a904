/** Something that planning would send, or a host that it would contact, only after somebody has agreed. */
export interface Disclosure {
  readonly kind: 'repository' | 'ssh-key' | 'variable' | 'env-file';
  /** The URL of a repository, the path of a key, the name of a variable, or a file and a variable in it. */
  readonly subject: string;
  /** The effect, as in `send the private SSH key ~/.ssh/fleet to the dstack server`. */
  readonly action: string;
  /** SHA-256 of each credential that may be sent with it. */
  readonly credentials: readonly string[];
}
