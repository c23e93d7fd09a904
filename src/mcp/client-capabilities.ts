import * as z from 'zod';
import { CARD_MIME_TYPE } from '../core/card.ts';

/** How a client can show something to a person, by what it declares: its name tells nothing. */
export interface ClientAbilities {
  readonly showsForms: boolean;
  /** MCP Apps. */
  readonly showsCards: boolean;
}

const clientCapabilities = z.looseObject({
  elicitation: z.looseObject({ form: z.unknown(), url: z.unknown() }).partial().optional(),
  extensions: z
    .looseObject({ 'io.modelcontextprotocol/ui': z.looseObject({ mimeTypes: z.array(z.string()) }).optional() })
    .optional()
    // A declaration that isn't understood is none; what else the client can do stays.
    .catch(undefined),
});

/** Reads what a client declares; what can't be read counts as not declared. */
export function readAbilities(declared: unknown): ClientAbilities {
  const { data } = clientCapabilities.safeParse(declared);
  const elicitation = data?.elicitation;
  const mimeTypes = data?.extensions?.['io.modelcontextprotocol/ui']?.mimeTypes ?? [];
  return {
    // Forms are what a client shows that names them, and one of before there were other ways, which names nothing.
    showsForms: elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined),
    showsCards: mimeTypes.includes(CARD_MIME_TYPE),
  };
}
