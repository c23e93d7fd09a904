/** A tool in a host's request to its model. */
export interface GivenTool {
  readonly name: string;
  /** The group that a call has to name (OpenAI responses). */
  readonly namespace?: string;
  readonly description: string;
  /** The JSON schema of the arguments. */
  readonly schema: unknown;
}

/** The result of a call, as the model reads it. */
export interface GivenResult {
  /** The call's ID, unless the API has none. */
  readonly id: string | undefined;
  readonly text: string;
}

/** A request to a model, whatever the API. */
export interface ModelRequest {
  readonly tools: readonly GivenTool[];
  readonly results: readonly GivenResult[];
}

/** The next step of the scripted model. */
export type Move =
  | { readonly kind: 'say'; readonly text: string }
  | {
      readonly kind: 'call';
      readonly id: string;
      readonly tool: Pick<GivenTool, 'name' | 'namespace'>;
      readonly args: unknown;
    };

/** The body of an answer: one JSON document, or server-sent events. */
export type Answer =
  | { readonly kind: 'json'; readonly body: unknown }
  | { readonly kind: 'events'; readonly events: readonly ServerEvent[] };

export interface ServerEvent {
  /** The name of the event, if the API names it. */
  readonly event?: string;
  readonly data: unknown;
}

/** An API for models that hosts use. */
export interface ModelApi {
  readonly path: RegExp;
  read(body: unknown): ModelRequest;
  /** @param id a unique ID for the message */
  answer(move: Move, options: { readonly id: string; readonly isStream: boolean; readonly model: string }): Answer;
}

/** Returns the text of a message's content: a string, or a list of blocks. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (Array.isArray(content)) return content.map(textOf).join('\n');
  if (typeof content !== 'object' || content === null) return '';
  const text: unknown = 'text' in content ? content.text : undefined;
  return typeof text === 'string' ? text : JSON.stringify(content);
}
