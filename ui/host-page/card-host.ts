/** The host's appearance, locale and behavior. */
export interface HostAppearance {
  readonly theme?: 'light' | 'dark';
  readonly locale?: string;
  readonly timeZone?: string;
  /** Width of the cards in pixels. Defaults to the width of the page. */
  readonly width?: number;
  /** Never answers the cards' calls, so that they keep showing the same result. */
  readonly isSilent?: boolean;
}

/** The requests that cards have sent to the host. */
export interface HostActivity {
  readonly calls: readonly { readonly name: string; readonly input: unknown }[];
  readonly links: readonly string[];
  readonly modelContext: readonly string[];
}

/** An MCP Apps host in a page, for development and tests of the card. */
export interface CardHost {
  /** Calls a tool as a model would, shows the result in a new card, and returns it. */
  call(name: string, input: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Shows a result in a new card. */
  show(result: unknown, input?: Readonly<Record<string, unknown>>): Promise<void>;
  /** Changes the appearance of all current and later cards. */
  setAppearance(appearance: HostAppearance): void;
  activity(): HostActivity;
  /** Removes all cards. */
  clear(): void;
}
