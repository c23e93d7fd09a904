import type { ConsentLevel } from '../../core/change.ts';

/**
 * The approval that a change needs. `person`: a person's approval. `ask`: a person's approval if one can be asked, otherwise the token.
 * `token`: the token. `allow`: none; only the operator's policy can say so.
 */
export const REQUIREMENTS = ['person', 'ask', 'token', 'allow'] as const;
export type Requirement = (typeof REQUIREMENTS)[number];

/** Returns the policy's requirement if it has one, otherwise the setting's. With the setting `person`, a token alone is never enough. */
export function combineRequirements(setting: 'ask' | 'person' | 'token', policy: Requirement | undefined): Requirement {
  const wanted = policy ?? setting;
  return setting === 'person' && wanted !== 'allow' ? 'person' : wanted;
}

/** Returns the stricter of two requirements. */
export const strictest = (a: Requirement, b: Requirement): Requirement =>
  REQUIREMENTS.indexOf(a) <= REQUIREMENTS.indexOf(b) ? a : b;

const SATISFIES: Readonly<Record<ConsentLevel, readonly Requirement[]>> = {
  'person-card': REQUIREMENTS,
  'person-form': REQUIREMENTS,
  'person-dialog': REQUIREMENTS,
  // `ask`: the gate accepts the token only after it found nobody to ask.
  token: ['ask', 'token', 'allow'],
  policy: ['allow'],
};

/** Whether consent of this level satisfies the requirement. */
export const isEnough = (level: ConsentLevel, requirement: Requirement): boolean =>
  SATISFIES[level].includes(requirement);
