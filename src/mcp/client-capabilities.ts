import * as z from 'zod';
import { CARD_MIME_TYPE } from '../core/card.ts';

/** The prompts that a client can show, from its declared capabilities. The name of the client is not used. */
export interface ClientCapabilities {
  readonly showsForms: boolean;
  /** MCP Apps. */
  readonly showsCards: boolean;
  readonly hasRoots: boolean;
}

const declaredCapabilities = z.looseObject({
  roots: z.looseObject({}).optional().catch(undefined),
  elicitation: z.looseObject({ form: z.unknown(), url: z.unknown() }).partial().optional(),
  extensions: z
    .looseObject({ 'io.modelcontextprotocol/ui': z.looseObject({ mimeTypes: z.array(z.string()) }).optional() })
    .optional()
    // An unknown form of this declaration counts as none; the other capabilities still count.
    .catch(undefined),
});

/** Reads the capabilities that a client declares; what can't be read counts as not declared. */
export function readClientCapabilities(declared: unknown): ClientCapabilities {
  const { data } = declaredCapabilities.safeParse(declared);
  const elicitation = data?.elicitation;
  const mimeTypes = data?.extensions?.['io.modelcontextprotocol/ui']?.mimeTypes ?? [];
  return {
    // A client shows forms if it names them, or if it names no mode at all: forms were once the only one.
    showsForms: elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined),
    showsCards: mimeTypes.includes(CARD_MIME_TYPE),
    hasRoots: data?.roots !== undefined,
  };
}
