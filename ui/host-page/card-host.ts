/** How a host looks, and what it can do. */
export interface HostLook {
  readonly theme?: 'light' | 'dark';
  readonly locale?: string;
  readonly timeZone?: string;
  /** Pixels; as wide as the page unless given. */
  readonly width?: number;
  /** The cards' calls get no answer: what they were shown stays. */
  readonly isSilent?: boolean;
}

/** What a card asked of its host. */
export interface Heard {
  readonly calls: readonly { readonly name: string; readonly input: unknown }[];
  readonly links: readonly string[];
  readonly toldModel: readonly string[];
}

/** A host of MCP Apps in a page, for those who work on the card and for its tests. */
export interface CardHost {
  /** Calls a tool as a model would, and shows what came of it in a new card; gives the result. */
  call(name: string, input: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Shows a result in a new card. */
  show(result: unknown, input?: Readonly<Record<string, unknown>>): Promise<void>;
  /** Changes the look of all cards from now on. */
  look(look: HostLook): void;
  heard(): Heard;
  /** Takes all cards away. */
  clear(): void;
}
